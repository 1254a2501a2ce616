package lockstep.devices.ide;

import lockstep.block.BlockBackend;
import lockstep.block.Completion;
import lockstep.block.node.Pieces;

import java.lang.foreign.MemorySegment;

/** What a drive needs of its medium. Completions run under the machine lock, never inside the call's caller. */
interface Disk {
    boolean present();

    boolean readOnly();

    /** Bytes, 0 without medium. */
    long length();

    /** Reads into memory in pieces. */
    void read(long offset, Pieces target, Completion done);

    default void read(long offset, MemorySegment target, Completion done) {
        read(offset, Pieces.of(target), done);
    }

    /** Writes from memory in pieces. */
    void write(long offset, Pieces source, Completion done);

    void flush(Completion done);

    void discard(long offset, long length, Completion done);

    void writeCache(boolean on);

    boolean writeCache();

    /** The guest has moved the tray. */
    void trayMoved(boolean open);

    /** Waits for all requests, running their completions here. */
    void drain();

    /** Cancels the requests that are kept for a retry. False when others are under way. */
    boolean cancelKept();

    /** A backend of the block room. */
    static Disk of(BlockBackend backend) {
        return new Backend(backend);
    }

    /** The adapter. */
    record Backend(BlockBackend backend) implements Disk {
        @Override
        public boolean present() {
            return backend.present();
        }

        @Override
        public boolean readOnly() {
            return backend.readOnly();
        }

        @Override
        public long length() {
            return backend.length();
        }

        @Override
        public void read(long offset, Pieces target, Completion done) {
            backend.read(offset, target, done);
        }

        @Override
        public void write(long offset, Pieces source, Completion done) {
            backend.write(offset, source, done);
        }

        @Override
        public void flush(Completion done) {
            backend.flush(done);
        }

        @Override
        public void discard(long offset, long length, Completion done) {
            backend.discard(offset, length, done);
        }

        @Override
        public void writeCache(boolean on) {
            backend.setWritethrough(!on);
        }

        @Override
        public boolean writeCache() {
            return !backend.writethrough();
        }

        @Override
        public void trayMoved(boolean open) {
            backend.trayMoved(open);
        }

        @Override
        public void drain() {
            backend.drain();
        }

        @Override
        public boolean cancelKept() {
            backend.errors().cancelKept();
            return backend.underWay() == 0;
        }
    }
}
