package lockstep.net.filter;

import lockstep.runtime.loop.EventLoop;

import java.lang.reflect.Proxy;

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
