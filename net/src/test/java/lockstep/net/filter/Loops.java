package lockstep.net.filter;

import java.lang.reflect.Proxy;
import lockstep.runtime.loop.EventLoop;

/** A loop that nobody may use. */
final class Loops {
    static final EventLoop NONE =
            (EventLoop)
                    Proxy.newProxyInstance(
                            Loops.class.getClassLoader(),
                            new Class<?>[] {EventLoop.class},
                            (proxy, method, arguments) -> {
                                throw new UnsupportedOperationException(method.getName());
                            });

    private Loops() {}
}
