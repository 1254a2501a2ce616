package lockstep.tools.nbd;

import lockstep.tools.server.ServerProcess;
import lockstep.tools.shell.Console;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import java.util.Arrays;
import java.util.List;

/** The program: serves one image until its last client has left, or for longer. */
public final class Main {
    private static final String KNOWN =
            "b= --bind= p= --port= k= --socket= o= --offset= r --read-only P= --partition= s"
                + " --snapshot l= --load-snapshot= n --nocache --cache= --aio= --discard="
                + " --detect-zeroes= c= --connect= d --disconnect e= --shared= f= --format= t"
                + " --persistent v --verbose x= --export-name= D= --description= A"
                + " --allocation-depth B= --bitmap= L --list --image-opts --object= --tls-creds="
                + " --tls-hostname= --tls-authz= --fork --pid-file= --selinux-label= T= --trace= V"
                + " --version";

    private Main() {}

    /** Runs a command line and ends with its exit code. */
    public static void main(String[] line) {
        Console console =
                Console.standard(
                        Console.PROGRAM
                                + ": Try `"
                                + Console.PROGRAM
                                + " --help' for more information.\n");
        System.exit(run(console, Arrays.asList(line)));
    }

    private static int run(Console console, List<String> line) {
        try {
            Options options = Options.parse(line, KNOWN, Options.Words.GETOPT);
            if (options.asksForHelp()) {
                console.print(Help.TEXT);
                return 0;
            }
            if (options.has("V") || options.has("--version")) {
                console.print(Help.VERSION);
                return 0;
            }
            Wanted wanted = Wanted.of(options);
            if (System.getenv("LISTEN_FDS") != null) {
                throw new ToolException(
                        "a socket that was opened by who started this is not supported");
            }
            return ServerProcess.run(
                    console, wanted.fork(), process -> new Start(console, wanted).run(process));
        } catch (ToolException e) {
            console.error(e);
            return e.code();
        }
    }
}
