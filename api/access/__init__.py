"""Who somebody is: passwords, second factors, passkeys, providers of identity, sessions."""
