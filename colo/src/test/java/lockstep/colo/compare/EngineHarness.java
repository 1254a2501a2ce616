package lockstep.colo.compare;

import lockstep.colo.packet.Frames;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** An engine between two guests that a test plays, with a clock that the test moves. */
abstract class EngineHarness {
    static final int A = Frames.ACK;

    /** In the unit of the engine's clock. */
    long now;

    /** Packets of a queue. */
    int limit = 1024;

    Engine engine;
    final List<byte[]> out = new ArrayList<>();
    private int requests;

    final Engine.Output output =
            new Engine.Output() {
                @Override
                public void release(byte[] frame, int length, int vnetHeader) {
                    out.add(Arrays.copyOf(frame, length));
                }

                @Override
                public void requestCheckpoint() {
                    requests++;
                }
            };

    EngineHarness() {
        engine = engine();
    }

    /** Called before the subclass is complete. */
    abstract Engine engine();

    void p(byte[] frame) {
        engine.primary(frame.clone(), frame.length, 0);
    }

    void s(byte[] frame) {
        engine.secondary(frame.clone(), frame.length, 0);
    }

    void p(int seq, int ack, String text) {
        p(Frames.up(seq, ack, A, text));
    }

    void s(int seq, int ack, String text) {
        s(Frames.up(seq, ack, A, text));
    }

    /** Everything released since the last call, payloads joined by a space. */
    String released() {
        List<String> texts = out.stream().map(f -> Frames.payload(f, f.length)).toList();
        out.clear();
        return String.join(" ", texts);
    }

    /** How many were released since the last call. */
    int left() {
        int n = out.size();
        out.clear();
        return n;
    }

    /** How many checkpoints were asked for since the last call. */
    int requested() {
        int n = requests;
        requests = 0;
        return n;
    }
}
