"""The fault laboratory: real sockets on loopback that misbehave in every way a transport must survive."""
