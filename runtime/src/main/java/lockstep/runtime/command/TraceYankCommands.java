package lockstep.runtime.command;

import lockstep.api.TraceCommands;
import lockstep.api.TraceEventGetStateArguments;
import lockstep.api.TraceEventInfo;
import lockstep.api.TraceEventSetStateArguments;
import lockstep.api.TraceEventState;
import lockstep.api.YankArguments;
import lockstep.api.YankCommands;
import lockstep.api.YankInstance;
import lockstep.qmp.QmpException;
import lockstep.runtime.monitor.YankRegistry;
import lockstep.runtime.trace.Trace;
import lockstep.runtime.trace.TraceEvent;

import java.util.ArrayList;
import java.util.List;

/** trace.json and yank.json. */
final class TraceYankCommands implements TraceCommands, YankCommands {
    private final YankRegistry yanks;

    TraceYankCommands(YankRegistry yanks) {
        this.yanks = yanks;
    }

    private static QmpException unknown(String name) {
        return new QmpException("unknown event \"" + name + "\"");
    }

    @Override
    public List<TraceEventInfo> traceEventGetState(TraceEventGetStateArguments arguments)
            throws QmpException {
        String name = arguments.name();
        List<TraceEventInfo> list = new ArrayList<>();
        for (TraceEvent event : Trace.match(name)) {
            list.add(
                    new TraceEventInfo(
                            event.name(),
                            event.on() ? TraceEventState.ENABLED : TraceEventState.DISABLED));
        }
        if (list.isEmpty() && !Trace.isPattern(name)) {
            throw unknown(name);
        }
        return list;
    }

    @Override
    public void traceEventSetState(TraceEventSetStateArguments arguments) throws QmpException {
        if (!Trace.enable(arguments.name(), arguments.enable())) {
            throw unknown(arguments.name());
        }
    }

    @Override
    public void yank(YankArguments arguments) throws QmpException {
        yanks.yank(arguments.instances());
    }

    @Override
    public List<YankInstance> queryYank() {
        return yanks.all();
    }
}
