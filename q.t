P: warning: netdev t has no peer
P: warning: netdev t has no peer
