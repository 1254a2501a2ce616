package lockstep.runtime.testmachine;

/** What of the heap is reachable. */
public final class LiveHeap {
    private static final int ATTEMPTS = 4;

    private LiveHeap() {}

    /**
     * By how many bytes the live heap has grown with each call of {@code body}. Other threads of the JVM keep things as
     * well, so the least of a few measurements counts: what {@code body} keeps is in all of them. The first calls,
     * which load classes and fill caches, are not measured.
     *
     * @param calls how many calls a measurement takes
     * @param enough a growth below which no further measurement is made
     */
    public static double growth(int calls, double enough, Runnable body) {
        repeat(calls / 4, body);
        double least = Double.MAX_VALUE;
        for (int i = 0; i < ATTEMPTS && least >= enough; i++) {
            long before = live();
            repeat(calls, body);
            least = Math.min(least, (double) (live() - before) / calls);
        }
        return least;
    }

    private static void repeat(int times, Runnable body) {
        for (int i = 0; i < times; i++) {
            body.run();
        }
    }

    /** What is left after collections that find nothing more. */
    private static long live() {
        Runtime runtime = Runtime.getRuntime();
        long used = Long.MAX_VALUE;
        while (true) {
            System.gc();
            long now = runtime.totalMemory() - runtime.freeMemory();
            if (now >= used) {
                return used;
            }
            used = now;
        }
    }
}
