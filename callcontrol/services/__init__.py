"""What the exchange answers itself: one class a service, one function a state.

A state returns the next state, or Go: where the caller goes now. Over ends a service wherever it
is. Services know the caller's side, the media and the store; not SIP.
"""
