package lockstep.runtime.command;

import lockstep.api.AddClientArguments;
import lockstep.api.AddFdArguments;
import lockstep.api.AddfdInfo;
import lockstep.api.ClosefdArguments;
import lockstep.api.CommandLineOptionInfo;
import lockstep.api.FdsetFdInfo;
import lockstep.api.FdsetInfo;
import lockstep.api.GetfdArguments;
import lockstep.api.IOThreadInfo;
import lockstep.api.MiscCommands;
import lockstep.api.QueryCommandLineOptionsArguments;
import lockstep.api.RemoveFdArguments;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.QmpException;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.linux.DescriptorSets;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.option.OptionTable;
import lockstep.runtime.process.VmmProcess;

import java.util.ArrayList;
import java.util.List;

/** misc.json: descriptors of clients, and what the process consists of. */
final class ProcessCommands implements MiscCommands {
    private final VmmProcess vmm;

    ProcessCommands(VmmProcess vmm) {
        this.vmm = vmm;
    }

    @Override
    public void xExitPreconfig() throws QmpException {
        exitPreconfig(vmm);
    }

    /** Goes on with a start that {@code --preconfig} interrupted; ends the process where that fails. */
    static void exitPreconfig(VmmProcess vmm) throws QmpException {
        if (!vmm.starting()) {
            throw new QmpException("The command is permitted only before machine initialization");
        }
        try {
            vmm.makeMachine();
        } catch (OptionTable.Failure e) {
            String message = String.valueOf(e.getMessage());
            vmm.report(message);
            vmm.leave(1);
            throw new QmpException(message);
        }
    }

    private Fd sentAlong() throws QmpException {
        Fd fd = vmm.monitors().takeDescriptor();
        if (fd == null) {
            throw new QmpException("No file descriptor supplied via SCM_RIGHTS");
        }
        return fd;
    }

    @Override
    public void getfd(GetfdArguments arguments) throws QmpException {
        Fd fd = sentAlong();
        String name = arguments.fdname();
        if (!name.isEmpty() && name.charAt(0) >= '0' && name.charAt(0) <= '9') {
            fd.close();
            throw new QmpException("Parameter 'fdname' expects a name not starting with a digit");
        }
        vmm.keepDescriptor(name, fd);
    }

    @Override
    public void closefd(ClosefdArguments arguments) throws QmpException {
        Fd kept = vmm.takeNamedDescriptor(arguments.fdname());
        if (kept == null) {
            throw new QmpException("File descriptor named '" + arguments.fdname() + "' not found");
        }
        kept.close();
    }

    @Override
    public AddfdInfo addFd(AddFdArguments arguments) throws QmpException {
        Fd fd = sentAlong();
        Long wanted = arguments.fdsetId();
        if (wanted != null && wanted < 0) {
            fd.close();
            throw new QmpException("Parameter 'fdset-id' expects a non-negative value");
        }
        return new AddfdInfo(DescriptorSets.add(wanted, fd, arguments.opaque()), fd.number());
    }

    @Override
    public void removeFd(RemoveFdArguments arguments) throws QmpException {
        Long number = arguments.fd();
        if (!DescriptorSets.remove(arguments.fdsetId(), number)) {
            throw new QmpException(
                    "File descriptor named 'fdset-id:"
                            + arguments.fdsetId()
                            + (number == null ? "" : ", fd:" + number)
                            + "' not found");
        }
    }

    @Override
    public List<FdsetInfo> queryFdsets() {
        return DescriptorSets.all().stream()
                .map(
                        set ->
                                new FdsetInfo(
                                        set.id(),
                                        set.members().stream()
                                                .map(m -> new FdsetFdInfo(m.number(), m.opaque()))
                                                .toList()))
                .toList();
    }

    @Override
    public void addClient(AddClientArguments arguments) throws QmpException {
        Integer number = vmm.takeDescriptor(arguments.fdname());
        if (number == null) {
            throw new QmpException(
                    "File descriptor named '" + arguments.fdname() + "' has not been found");
        }
        Fd fd = new Fd(number);
        try {
            adopt(arguments.protocol(), fd);
        } catch (QmpException e) {
            fd.close();
            throw e;
        }
    }

    private void adopt(String protocol, Fd fd) throws QmpException {
        try {
            if (!FileIo.status(fd.number()).socket()) {
                throw new QmpException("parameter @fdname must name a socket");
            }
        } catch (LinuxException e) {
            throw new QmpException(ErrorClass.GENERIC_ERROR, e.getMessage(), e);
        }
        Chardev device = vmm.chardevs().find(protocol);
        if (device == null) {
            throw new QmpException("protocol '" + protocol + "' is invalid");
        }
        if (!device.adoptClient(fd)) {
            throw new QmpException("failed to add client");
        }
    }

    @Override
    public List<CommandLineOptionInfo> queryCommandLineOptions(
            QueryCommandLineOptionsArguments arguments) throws QmpException {
        return OptionDescriptions.list(vmm.options(), arguments.option());
    }

    @Override
    public List<IOThreadInfo> queryIothreads() {
        List<IOThreadInfo> list = new ArrayList<>();
        for (String id : vmm.objects().ids(IothreadObject.class)) {
            IothreadObject thread = vmm.objects().object(id, IothreadObject.class);
            if (thread != null) {
                list.add(thread.describe(id));
            }
        }
        return list;
    }
}
