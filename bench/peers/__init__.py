"""The same faults on the peers: what other packages do where Gatehouse holds back, measured with the same judge."""
