package lockstep.runtime;

import lockstep.runtime.command.RuntimeCommands;
import lockstep.runtime.commandline.RuntimeOptions;
import lockstep.runtime.linux.HostProcess;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.SignalPipe;
import lockstep.runtime.option.EndOfProgram;
import lockstep.runtime.option.OptionTable;
import lockstep.runtime.option.StartPhase;
import lockstep.runtime.process.Daemon;
import lockstep.runtime.process.PidFile;
import lockstep.runtime.process.VmmProcess;
import lockstep.runtime.spi.Room;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.ServiceLoader;

/** The program: reads the command line, builds the machine, runs the main loop until it is told to end. */
public final class Main {
    private static final int SIGHUP = 1;
    private static final int SIGINT = 2;
    private static final int SIGTERM = 15;

    private Main() {}

    /** Runs the program with the arguments of {@code qemu-system-x86_64}. */
    public static void main(String[] arguments) {
        System.exit(run(List.of(arguments)));
    }

    private static int run(List<String> arguments) {
        String program = System.getProperty("lockstep.argv0", "lockstep-system-x86_64");
        RuntimeOptions own = new RuntimeOptions();
        VmmProcess vmm;
        try {
            if (Daemon.isChild()) {
                Daemon.prepare();
            } else if (arguments.contains("-daemonize") || arguments.contains("--daemonize")) {
                return Daemon.spawn();
            }
            vmm = new VmmProcess(program, own.settings());
            VmmProcess made = vmm;
            Thread.setDefaultUncaughtExceptionHandler(
                    (thread, e) -> made.internalError("thread '" + thread.getName() + "'", e));
        } catch (IOException e) {
            System.err.println(program + ": " + e.getMessage());
            return 1;
        }
        int status = 0;
        PidFile pidFile = new PidFile();
        vmm.lastly(pidFile::remove);
        try {
            if (start(vmm, own, arguments, pidFile)) {
                vmm.endOn(new SignalPipe(SIGHUP, SIGINT, SIGTERM));
                if (Daemon.isChild()) {
                    Daemon.ready();
                }
                vmm.loop().run();
            }
        } catch (OptionTable.Failure | LinuxException e) {
            vmm.report(String.valueOf(e.getMessage()));
            status = 1;
        } catch (RuntimeException | StackOverflowError | OutOfMemoryError e) {
            // A mistake of ours while the machine was being built; its threads must not keep us
            // alive.
            vmm.internalError("start-up", e);
            status = 1;
        }
        if (status != 0) {
            vmm.leave(status);
        }
        status = vmm.shutDown();
        pidFile.remove();
        return status;
    }

    /** Builds everything; false when an option such as -help was all there is to do. */
    static boolean start(
            VmmProcess vmm, RuntimeOptions own, List<String> arguments, PidFile pidFile)
            throws OptionTable.Failure {
        OptionTable options = vmm.options();
        own.register(vmm, () -> HostProcess.onParentDeath(SIGTERM));
        RuntimeCommands.register(vmm);
        List<Room> rooms = new ArrayList<>();
        // Not the class path where there is a layer: its search costs as much as all rooms.
        ModuleLayer layer = Main.class.getModule().getLayer();
        (layer == null ? ServiceLoader.load(Room.class) : ServiceLoader.load(layer, Room.class))
                .forEach(rooms::add);
        rooms.sort(Comparator.comparingInt(Room::order));
        rooms.forEach(room -> room.install(vmm, vmm));
        own.registerLaunch(vmm);
        vmm.lock().acquire();
        try {
            options.read(arguments);
            for (StartPhase phase : StartPhase.values()) {
                if (phase == StartPhase.EARLY_OBJECTS) {
                    write(pidFile, vmm.settings().pidFile());
                }
                if (!phase.late()) {
                    options.run(phase);
                }
            }
            if (!vmm.settings().preconfig()) {
                vmm.makeMachine();
            }
            return true;
        } catch (EndOfProgram.Reached e) {
            System.out.print(e.output());
            return false;
        } finally {
            vmm.lock().release();
        }
    }

    private static void write(PidFile pidFile, @Nullable String path) throws OptionTable.Failure {
        try {
            pidFile.write(path);
        } catch (IOException e) {
            throw new OptionTable.Failure("cannot create PID file: " + e.getMessage());
        }
    }
}
