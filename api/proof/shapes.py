"""A proof over HTTP."""

from api.proof.proof import Proof


class ProofShown(Proof, frozen=True):
    """took_ms: of the exchange's time."""

    took_ms: float
