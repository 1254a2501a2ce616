package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.O_RDWR;
import static lockstep.linux.abi.LinuxAbi.O_WRONLY;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;

/**
 * Sets of file descriptors that another process handed over, so that files can be opened which this
 * process may not open itself: {@code /dev/fdset/N} stands for the member of set N with the access that is
 * asked for. There is one collection in a process, as there is one table of descriptors. Any thread.
 */
public final class DescriptorSets {
    /** What the names of files out of a set begin with. */
    public static final String PREFIX = "/dev/fdset/";

    /** A descriptor in a set; {@code opaque} is the owner's remark. */
    public record Member(int number, @Nullable String opaque) {}

    /** A set, the oldest member first. */
    public record Contents(long id, List<Member> members) {}

    private record Held(Fd fd, @Nullable String opaque) {}

    private static final TreeMap<Long, List<Held>> SETS = new TreeMap<>();

    private DescriptorSets() {}

    /**
     * Puts a descriptor into a set, which is made if need be.
     *
     * @param wanted number of the set, or null for a new one with the lowest free number
     * @return the number of the set
     */
    public static synchronized long add(@Nullable Long wanted, Fd fd, @Nullable String opaque) {
        long id = 0;
        if (wanted == null) {
            while (SETS.containsKey(id)) {
                id++;
            }
        } else {
            id = wanted;
        }
        SETS.computeIfAbsent(id, none -> new ArrayList<>()).addFirst(new Held(fd, opaque));
        return id;
    }

    /** Closes one member of a set, or all when {@code number} is null; false if there is none. */
    public static synchronized boolean remove(long id, @Nullable Long number) {
        List<Held> set = SETS.get(id);
        if (set == null) {
            return false;
        }
        List<Held> leaving =
                set.stream().filter(h -> number == null || h.fd.number() == number).toList();
        if (leaving.isEmpty()) {
            return false;
        }
        set.removeAll(leaving);
        leaving.forEach(h -> h.fd.close());
        if (set.isEmpty()) {
            SETS.remove(id);
        }
        return true;
    }

    /** All sets in the order in which QEMU lists them: the highest number first. */
    public static synchronized List<Contents> all() {
        List<Contents> out = new ArrayList<>();
        SETS.descendingMap()
                .forEach(
                        (id, set) ->
                                out.add(
                                        new Contents(
                                                id,
                                                set.reversed().stream()
                                                        .map(
                                                                h ->
                                                                        new Member(
                                                                                h.fd.number(),
                                                                                h.opaque))
                                                        .toList())));
        return out;
    }

    /**
     * Opens {@code /dev/fdset/N}: a duplicate of the first member whose access is that of {@code flags}.
     *
     * @return the descriptor, or the negated errno: EINVAL for a name without number, ENOENT for no such
     *     set, EACCES when no member has that access
     */
    static synchronized int open(String path, int flags) {
        long id;
        try {
            id = Long.parseLong(path.substring(PREFIX.length()));
        } catch (NumberFormatException e) {
            return -Errno.EINVAL;
        }
        List<Held> set = SETS.get(id);
        if (set == null) {
            return -Errno.ENOENT;
        }
        try {
            for (Held held : set) {
                int access = O_RDWR() | O_WRONLY();
                if ((FileIo.flags(held.fd.number()) & access) == (flags & access)) {
                    return FileIo.duplicate(held.fd.number()).release();
                }
            }
        } catch (LinuxException e) {
            return -e.errno();
        }
        return -Errno.EACCES;
    }
}
