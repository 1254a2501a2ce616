P: -netdev tap,id=t,queues=2,ifname=lsfx,script=no: netdev 't': only one queue is supported by a tap
