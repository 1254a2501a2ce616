package lockstep.runtime.monitor;

import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.loop.VmClocks;

import org.jspecify.annotations.Nullable;

import java.util.HashMap;
import java.util.Map;
import java.util.function.Consumer;

/**
 * Holds back events that a guest or a failing disk could send without end: the first goes out at once,
 * then at most one a second, always the latest. Any thread; the timers run on the main loop.
 */
final class EventThrottle {
    private static final long SECOND = 1_000_000_000L;

    /** The member of data that tells several sources of one event apart; empty if there is one. */
    private static final Map<String, String> RATE_LIMITED =
            Map.of(
                    "RTC_CHANGE", "",
                    "BLOCK_IO_ERROR", "qom-path",
                    "WATCHDOG", "",
                    "BALLOON_CHANGE", "",
                    "QUORUM_REPORT_BAD", "node-name",
                    "QUORUM_FAILURE", "",
                    "VSERPORT_CHANGE", "id",
                    "MEMORY_DEVICE_SIZE_CHANGE", "qom-path",
                    "HV_BALLOON_STATUS_REPORT", "");

    private static final class Source {
        @Nullable JsonObject held;
        @Nullable Timer timer;
        ClockType clock = ClockType.REALTIME;
    }

    private final EventLoop loop;
    private final Consumer<JsonObject> output;
    private final Map<String, Source> sources = new HashMap<>();

    EventThrottle(EventLoop loop, Consumer<JsonObject> output) {
        this.loop = loop;
        this.output = output;
    }

    /** Sends an event now or later. */
    synchronized void send(String name, JsonObject message) {
        String member = RATE_LIMITED.get(name);
        JsonObject data =
                message.get("data") instanceof JsonObject object ? object : new JsonObject();
        boolean stops =
                name.equals("BLOCK_IO_ERROR")
                        && data.get("action") instanceof JsonString action
                        && action.value().equals("stop");
        if (member == null || stops) {
            output.accept(message);
            return;
        }
        String key = name + '\n' + (member.isEmpty() ? "" : String.valueOf(data.get(member)));
        Source source = sources.get(key);
        if (source != null) {
            source.held = message;
            return;
        }
        Source fresh = new Source();
        sources.put(key, fresh);
        output.accept(message);
        // A test that moves guest time by itself wants to see what a second brings.
        boolean stepped = loop.clocks() instanceof VmClocks clocks && clocks.stepped();
        fresh.clock = stepped ? ClockType.VIRTUAL : ClockType.REALTIME;
        Timer timer = loop.timer(fresh.clock, () -> expired(key, fresh));
        fresh.timer = timer;
        timer.arm(loop.clocks().now(fresh.clock) + SECOND);
    }

    private synchronized void expired(String key, Source source) {
        JsonObject held = source.held;
        Timer timer = source.timer;
        if (held == null || timer == null) {
            sources.remove(key);
            return;
        }
        source.held = null;
        output.accept(held);
        timer.arm(loop.clocks().now(source.clock) + SECOND);
    }
}
