package lockstep.runtime.testmachine;

import java.lang.reflect.Method;

/** How many bytes of heap the calling thread takes, by the JVM's own count. */
public final class Allocated {
    private static final int WARM_UP = 20_000;
    private static final int CALLS = 20_000;

    private Allocated() {}

    /** What one call of {@code body} takes on the average, in bytes, once all it needs is there. */
    public static double perCall(Runnable body) throws Exception {
        // By name, because a module of the product has no use for the JVM's management.
        Class<?> factory = Class.forName("java.lang.management.ManagementFactory");
        Object threads = factory.getMethod("getThreadMXBean").invoke(null);
        Method count =
                Class.forName("com.sun.management.ThreadMXBean")
                        .getMethod("getCurrentThreadAllocatedBytes");
        repeat(body, WARM_UP);
        count.invoke(threads);
        long before = (long) count.invoke(threads);
        repeat(body, CALLS);
        return (double) ((long) count.invoke(threads) - before) / CALLS;
    }

    private static void repeat(Runnable body, int times) {
        for (int i = 0; i < times; i++) {
            body.run();
        }
    }
}
