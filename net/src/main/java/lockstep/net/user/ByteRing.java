package lockstep.net.user;

/** Bytes in order, up to a number that it is made with; memory is taken when the first come. */
final class ByteRing {
    private final int capacity;
    private byte[] data = {};
    private int start;
    private int size;

    ByteRing(int capacity) {
        this.capacity = capacity;
    }

    int size() {
        return size;
    }

    int room() {
        return capacity - size;
    }

    /** Adds bytes, for which there must be room. */
    void add(byte[] source, int offset, int length) {
        if (length > room()) {
            throw new IllegalArgumentException(length + " bytes do not fit into " + room());
        }
        if (length > 0 && data.length == 0) {
            data = new byte[capacity];
        }
        int at = place(size);
        int first = Math.min(length, capacity - at);
        System.arraycopy(source, offset, data, at, first);
        System.arraycopy(source, offset + first, data, 0, length - first);
        size += length;
    }

    /** Copies bytes from {@code position} on, which must be there. */
    void copy(int position, byte[] target, int offset, int length) {
        if (length == 0) {
            return;
        }
        if (position < 0 || length > size - position) {
            throw new IllegalArgumentException("no " + length + " bytes at " + position);
        }
        int at = place(position);
        int first = Math.min(length, capacity - at);
        System.arraycopy(data, at, target, offset, first);
        System.arraycopy(data, 0, target, offset + first, length - first);
    }

    /** Forgets the first bytes. */
    void drop(int length) {
        start = place(length);
        size -= length;
    }

    private int place(int position) {
        int at = start + position;
        return at < capacity ? at : at - capacity;
    }
}
