package lockstep.qmp;

import java.util.List;
import java.util.concurrent.CompletableFuture;

/**
 * A request on its way. Its reply is the server's whole message; whoever waits for it looks at {@code
 * return} and {@code error}. Apart from the future, its state is the {@link SendQueue}'s.
 */
final class Call {
    final long id;

    /** What errors call it. */
    final String name;

    /** The request as it is written. */
    final byte[] text;

    final boolean outOfBand;

    /** False for a command that does not answer when it succeeds. */
    final boolean answered;

    final List<Descriptor> descriptors;
    final CompletableFuture<JsonObject> reply = new CompletableFuture<>();

    Call(
            long id,
            String name,
            byte[] text,
            boolean outOfBand,
            boolean answered,
            List<Descriptor> descriptors) {
        this.id = id;
        this.name = name;
        this.text = text;
        this.outOfBand = outOfBand;
        this.answered = answered;
        this.descriptors = List.copyOf(descriptors);
    }

    void fail(QmpConnectionException e) {
        reply.completeExceptionally(e);
    }
}
