package lockstep.tools.nbd;

/** What the program says of itself. */
final class Help {
    static final String VERSION = "lockstep-nbd 0.1.0 (command line of qemu-nbd 7.2)\n";

    static final String TEXT =
            """
            Usage: lockstep-nbd [options] file
              or:  lockstep-nbd -L [options]
            Serves a disk image to NBD clients, or lists what a server has

              -h, --help                show this and end
              -V, --version             show the version and end

            The server:
              -p, --port=PORT           TCP port (10809)
              -b, --bind=HOST           address to listen on (0.0.0.0)
              -k, --socket=PATH         listen on a UNIX socket instead
              -e, --shared=NUM          so many clients at a time (1), 0 for any number
              -t, --persistent          go on when the last client has left
              -x, --export-name=NAME    name of the export ("")
              -D, --description=TEXT    a text for people
                  --fork                leave the terminal when clients can connect
                  --pid-file=PATH       write the process number to a file
                  --object type,id=ID   add an object, such as tls-creds-x509
                  --tls-creds=ID        take clients over TLS only, with these credentials
                  --tls-authz=ID        and only those that this object lets in
                  --tls-hostname=NAME   whose certificate to expect (with -L)
              -T, --trace [enable=]PATTERN[,events=FILE][,file=FILE]
                                        write trace lines
              -L, --list                list a server's exports

            What is served:
              -f, --format=FORMAT       format of the image, which is guessed otherwise
                  --image-opts          the file's name is options of block nodes
              -o, --offset=OFFSET       from this byte of the image on
              -l, --load-snapshot=NAME  a snapshot inside the image, for reading
              -s, --snapshot            keep what is written in a temporary file
              -r, --read-only           for reading only
              -A, --allocation-depth    tell how deep in the backing chain data is
              -B, --bitmap=NAME         tell what a dirty bitmap says
              -n, --nocache             pass by the host's cache
                  --cache=MODE          none, writeback (default), writethrough, directsync, unsafe
                  --aio=MODE            threads, native or io_uring
                  --discard=MODE        ignore or unmap
                  --detect-zeroes=MODE  off, on or unmap

            Devices of the kernel (-c, -d) are not supported.
            """;

    private Help() {}
}
