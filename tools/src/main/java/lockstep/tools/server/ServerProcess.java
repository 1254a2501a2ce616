package lockstep.tools.server;

import lockstep.block.BlockLayer;
import lockstep.block.drive.BlockManager;
import lockstep.block.monitor.BlockRoom;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;
import lockstep.qmp.QmpException;
import lockstep.runtime.command.RuntimeCommands;
import lockstep.runtime.commandline.RuntimeOptions;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.SignalPipe;
import lockstep.runtime.process.Daemon;
import lockstep.runtime.process.PidFile;
import lockstep.runtime.process.VmmProcess;
import lockstep.tools.shell.Console;
import lockstep.tools.shell.ToolException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;

/**
 * The process of a machine, without the machine: disks, objects, character devices and monitors, which live on the main
 * thread's loop until a signal or a monitor ends it.
 */
public final class ServerProcess {
    private static final int SIGHUP = 1;
    private static final int SIGINT = 2;
    private static final int SIGTERM = 15;

    /** What a program does with the process before it serves. */
    public interface Start {
        /** Sets everything up; false when that was all. Under the machine lock. */
        boolean run(ServerProcess process) throws ToolException;
    }

    private final VmmProcess vmm;
    private final PidFile pidFile = new PidFile();

    private ServerProcess(VmmProcess vmm) {
        this.vmm = vmm;
    }

    /**
     * Runs the program to its end; gives the exit code.
     *
     * @param detaches whether it leaves the terminal once it serves, and the process that was called returns
     */
    public static int run(Console console, boolean detaches, Start start) {
        try {
            if (Daemon.isChild()) {
                Daemon.prepare();
            } else if (detaches) {
                return Daemon.spawn();
            }
            RuntimeOptions options = new RuntimeOptions();
            VmmProcess vmm = new VmmProcess(Console.PROGRAM, options.settings());
            options.register(vmm, () -> {});
            Thread.setDefaultUncaughtExceptionHandler(
                    (thread, e) -> vmm.internalError("thread '" + thread.getName() + "'", e));
            return new ServerProcess(vmm).serve(console, start);
        } catch (IOException e) {
            console.error(String.valueOf(e.getMessage()));
            return 1;
        }
    }

    private int serve(Console console, Start start) {
        vmm.lastly(pidFile::remove);
        RuntimeCommands.register(vmm);
        new BlockRoom().install(vmm, vmm);
        vmm.withoutMachine();
        int status = 1;
        try {
            if (locked(start)) {
                endOn(new SignalPipe(SIGHUP, SIGINT, SIGTERM));
                if (Daemon.isChild()) {
                    Daemon.ready();
                }
                vmm.loop().run();
            }
            status = 0;
        } catch (ToolException e) {
            console.error(e);
        } catch (LinuxException e) {
            console.error(String.valueOf(e.getMessage()));
        } catch (RuntimeException | StackOverflowError | OutOfMemoryError e) {
            vmm.internalError("start-up", e);
        }
        if (status != 0) {
            vmm.leave(status);
        }
        status = vmm.shutDown();
        pidFile.remove();
        return status;
    }

    private boolean locked(Start start) throws ToolException {
        vmm.lock().acquire();
        try {
            return start.run(this);
        } finally {
            vmm.lock().release();
        }
    }

    /** A signal ends the process in order, without a word. */
    private void endOn(SignalPipe signals) {
        Thread.ofPlatform()
                .daemon()
                .name("signals")
                .start(
                        () -> {
                            while (true) {
                                signals.await();
                                vmm.leave(0);
                            }
                        });
    }

    /** Writes the process number to a file, which goes when the process ends; nothing for null. */
    public void pidFile(@Nullable String path) throws IOException {
        pidFile.write(path);
    }

    /** The process. */
    public VmmProcess vmm() {
        return vmm;
    }

    /** Has a command carried out as a monitor would. */
    public void execute(String command, JsonObject arguments) throws QmpException {
        JsonObject reply =
                vmm.commands()
                        .dispatch(
                                new JsonObject()
                                        .put("execute", command)
                                        .put("arguments", arguments),
                                false);
        if (reply != null && reply.get("error") instanceof JsonObject error) {
            throw new QmpException(
                    error.get("desc") instanceof JsonString desc ? desc.value() : command);
        }
    }

    /** Its disks. */
    public BlockManager disks() {
        return (BlockManager) vmm.service(BlockLayer.class);
    }
}
