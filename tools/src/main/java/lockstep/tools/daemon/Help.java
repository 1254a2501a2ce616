package lockstep.tools.daemon;

/** What the program says of itself. */
final class Help {
    static final String VERSION =
            "lockstep-storage-daemon version 0.1.0 (command line of qemu-storage-daemon 7.2)\n";

    static final String TEXT =
            """
            Usage: lockstep-storage-daemon [options]
            Serves disk images, and works on them by QMP, without a machine

              -h, --help     show this and end
              -V, --version  show the version and end
              -T, --trace [enable=]pattern[,events=file][,file=file]
                             write trace lines

              --blockdev [driver=]driver,node-name=name[,...]
                             add a block node
              --chardev backend,id=id[,...]
                             add a character device
              --daemonize    leave the terminal when everything is set up
              --export [type=]nbd,id=id,node-name=node[,name=name][,writable=on|off]
                       [,bitmaps.0=name]
                             export a node by NBD (after --nbd-server)
              --monitor [chardev=]id[,pretty=on|off]
                             put a QMP monitor on a character device
              --nbd-server addr.type=inet,addr.host=host,addr.port=port[,tls-creds=id]
                           [,tls-authz=id][,max-connections=n]
              --nbd-server addr.type=unix,addr.path=path[,...]
                             listen for NBD clients
              --object type,id=id[,...]
                             add an object: secret, tls-creds-x509, throttle-group, iothread, ...
                             ('--object help' lists the types, '--object type,help' its properties)
              --pidfile file
                             write the process number to a file

            Options are carried out in their order; what one refers to must stand in front of it.
            """;

    private Help() {}
}
