package lockstep.runtime;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.function.IntConsumer;

/**
 * SIGTERM, SIGINT and SIGHUP as orderly ends with exit status 0.
 *
 * <p>The Java machine has threads that do not block these signals, so a signalfd would never see them; its
 * own handlers end the process with status 143. The supported way to take them over is {@code
 * sun.misc.Signal} of module jdk.unsupported, which is reached by reflection because the compiler warns of
 * every mention of it.
 */
final class HostSignals {
    private HostSignals() {}

    /** Has {@code action} called with the signal's number, on a thread of the Java machine. */
    static void handle(IntConsumer action) {
        try {
            Class<?> signal = Class.forName("sun.misc.Signal");
            Class<?> handler = Class.forName("sun.misc.SignalHandler");
            Method number = signal.getMethod("getNumber");
            InvocationHandler calls =
                    (proxy, method, arguments) ->
                            switch (method.getName()) {
                                case "handle" -> {
                                    action.accept((Integer) number.invoke(arguments[0]));
                                    yield null;
                                }
                                case "equals" -> proxy == arguments[0];
                                case "hashCode" -> System.identityHashCode(proxy);
                                default -> "signal handler";
                            };
            Object target =
                    Proxy.newProxyInstance(
                            HostSignals.class.getClassLoader(), new Class<?>[] {handler}, calls);
            Method handle = signal.getMethod("handle", signal, handler);
            for (String name : new String[] {"TERM", "INT", "HUP"}) {
                handle.invoke(null, signal.getConstructor(String.class).newInstance(name), target);
            }
        } catch (ReflectiveOperationException | IllegalArgumentException e) {
            // Left to the Java machine: the process still ends, but with its status.
            System.getLogger(HostSignals.class.getName())
                    .log(System.Logger.Level.DEBUG, "signals stay with the Java machine", e);
        }
    }
}
