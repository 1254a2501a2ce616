package lockstep.tools.img;

import lockstep.tools.shell.Console;

/** What the program says of itself. */
final class Help {
    /** What is said to who does not know how to call it. */
    static final String ADVICE = "Try '" + Console.PROGRAM + " --help' for more information\n";

    private Help() {}

    /** The user wants to know what the program can do. */
    static final class Wanted extends Exception {
        private static final long serialVersionUID = 1L;

        Wanted() {
            super(null, null, false, false);
        }
    }

    static String version() {
        return "lockstep-img version 0.1.0 (command line of qemu-img 7.2)";
    }

    static String text() {
        return version()
                + """

                usage: lockstep-img [standard options] command [command options]
                Makes, shows, checks, copies and changes disk images

                    '-h', '--help'       show this and end
                    '-V', '--version'    show the version and end

                Commands:
                  bench [-c count] [-d depth] [-f fmt] [--flush-interval=interval] [-i aio] [-n] [--no-drain] [-o offset] [--pattern=byte] [-q] [-s size] [-S step] [-t cache] [-w] [-U] filename
                  bitmap (--merge source | --add | --remove | --clear | --enable | --disable)... [-b source_file [-F fmt]] [-g granularity] [--image-opts | -f fmt] filename bitmap
                  check [--image-opts] [-q] [-f fmt] [--output=human|json] [-r leaks|all] [-T cache] [-U] filename
                  commit [--image-opts] [-q] [-f fmt] [-t cache] [-b base] [-d] [-p] filename
                  compare [--image-opts] [-f fmt] [-F fmt] [-T cache] [-p] [-q] [-s] [-U] filename1 filename2
                  convert [--image-opts] [--target-image-opts] [--target-is-zero] [-U] [-c] [-p] [-q] [-n] [-f fmt] [-t cache] [-T cache] [-O fmt] [-B backing_file -F fmt] [-o options] [-l snapshot] [-S size] [-m count] [-W] [--bitmaps [--skip-broken-bitmaps]] [--salvage] filename [filename2 ...] target
                  create [-q] [-f fmt] [-b backing_file -F fmt] [-u] [-o options] filename [size]
                  dd [--image-opts] [-U] [-f fmt] [-O fmt] [bs=size] [count=blocks] [skip=blocks] if=input of=output
                  info [--image-opts] [-f fmt] [--output=human|json] [--backing-chain] [-U] filename
                  map [--image-opts] [-f fmt] [--start-offset=offset] [--max-length=length] [--output=human|json] [-U] filename
                  measure [--output=human|json] [-O fmt] [-o options] [--size N | [--image-opts] [-f fmt] [-l snapshot] filename]
                  rebase [--image-opts] [-U] [-q] [-f fmt] [-t cache] [-T cache] [-p] [-u] -b backing_file [-F fmt] filename
                  resize [--image-opts] [-f fmt] [--preallocation=mode] [-q] [--shrink] filename [+|-]size
                  snapshot [--image-opts] [-U] [-q] [-l | -a name | -c name | -d name] filename

                Sizes are in bytes and may end in k, M, G, T, P or E (powers of 1024). '-o help' lists the
                options of a format. cache is none, writeback, writethrough, directsync or unsafe. -p shows
                progress, -q hides what is not an error, -U opens an image that another program writes.

                Supported formats: blkdebug file nbd null-aio null-co qcow2 quorum raw
                """;
    }
}
