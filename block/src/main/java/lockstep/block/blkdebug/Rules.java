package lockstep.block.blkdebug;

import lockstep.api.BlkdebugEvent;
import lockstep.api.BlkdebugIOType;
import lockstep.api.BlkdebugInjectErrorOptions;
import lockstep.api.BlkdebugSetStateOptions;
import lockstep.block.node.BlockException;
import lockstep.qmp.KeyvalInputVisitor;
import lockstep.qmp.KeyvalText;
import lockstep.qmp.QmpException;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What is to happen when.
 *
 * @param errors from an event on, requests fail
 * @param changes with an event, the state changes
 */
public record Rules(
        List<BlkdebugInjectErrorOptions> errors, List<BlkdebugSetStateOptions> changes) {
    private static final Pattern SECTION = Pattern.compile("\\[\\s*([a-z-]+)\\s*]");
    private static final Pattern SETTING = Pattern.compile("\\s*([a-z_-]+)\\s*=\\s*\"(.*)\"\\s*");

    /** Takes both lists as they are. */
    public Rules {
        errors = List.copyOf(errors);
        changes = List.copyOf(changes);
    }

    /** The rules of options, which may leave them out. */
    public static Rules of(
            @Nullable List<BlkdebugInjectErrorOptions> errors,
            @Nullable List<BlkdebugSetStateOptions> changes) {
        return new Rules(
                errors == null ? List.of() : errors, changes == null ? List.of() : changes);
    }

    /** The rules of a file and of options. The file may be a pipe, for whose writer this waits. */
    public Rules and(@Nullable String file) throws BlockException {
        if (file == null) {
            return this;
        }
        List<String> lines;
        try {
            lines = Files.readString(Path.of(file), StandardCharsets.ISO_8859_1).lines().toList();
        } catch (IOException e) {
            throw new BlockException(
                    Errno.EINVAL,
                    "Could not read blkdebug config file: "
                            + (Files.exists(Path.of(file))
                                    ? String.valueOf(e.getMessage())
                                    : Errno.text(Errno.ENOENT)),
                    e);
        }
        List<BlkdebugInjectErrorOptions> allErrors = new ArrayList<>();
        List<BlkdebugSetStateOptions> allChanges = new ArrayList<>();
        int at = 0;
        while (at < lines.size()) {
            String line = lines.get(at++).strip();
            if (line.isEmpty() || line.startsWith("#")) {
                continue;
            }
            Matcher section = SECTION.matcher(line);
            if (!section.matches()) {
                throw bad(file, at, "parse error");
            }
            Map<String, String> settings = new HashMap<>();
            while (at < lines.size() && !lines.get(at).strip().startsWith("[")) {
                String setting = lines.get(at++);
                Matcher parts = SETTING.matcher(setting);
                if (parts.matches()) {
                    settings.put(parts.group(1), parts.group(2));
                } else if (!setting.isBlank() && !setting.strip().startsWith("#")) {
                    throw bad(file, at, "parse error");
                }
            }
            try {
                KeyvalInputVisitor visitor =
                        new KeyvalInputVisitor(
                                KeyvalText.tree(settings), KeyvalInputVisitor.Style.OPTIONS);
                switch (section.group(1)) {
                    case "inject-error" ->
                            allErrors.add(BlkdebugInjectErrorOptions.read(visitor, null));
                    case "set-state" -> allChanges.add(BlkdebugSetStateOptions.read(visitor, null));
                    default ->
                            throw bad(
                                    file,
                                    at,
                                    "There is no option group '" + section.group(1) + "'");
                }
            } catch (QmpException e) {
                throw bad(file, at, e.description());
            }
        }
        allErrors.addAll(errors);
        allChanges.addAll(changes);
        return new Rules(allErrors, allChanges);
    }

    private static BlockException bad(String file, int line, String what) {
        return new BlockException(Errno.EINVAL, file + ":" + line + ": " + what);
    }

    private static boolean applies(
            BlkdebugEvent wanted, @Nullable Long wantedState, BlkdebugEvent event, long state) {
        long only = wantedState == null ? 0 : wantedState;
        return wanted == event && (only == 0 || only == state);
    }

    /** The errors that an event brings in a state. */
    List<BlkdebugInjectErrorOptions> errors(BlkdebugEvent event, long state) {
        return errors.stream().filter(e -> applies(e.event(), e.state(), event, state)).toList();
    }

    /** The state after an event. */
    long next(BlkdebugEvent event, long state) {
        long next = state;
        for (BlkdebugSetStateOptions c : changes) {
            if (applies(c.event(), c.state(), event, state)) {
                next = c.newState();
            }
        }
        return next;
    }

    /** Without an error that comes once. */
    Rules without(BlkdebugInjectErrorOptions error) {
        List<BlkdebugInjectErrorOptions> left = new ArrayList<>(errors);
        left.removeIf(e -> e == error);
        return new Rules(left, changes);
    }

    /** Whether an error is for such a request. */
    static boolean hits(
            BlkdebugInjectErrorOptions error, BlkdebugIOType kind, long offset, long length) {
        BlkdebugIOType only = error.iotype();
        boolean kindFits = only == null ? kind != BlkdebugIOType.BLOCK_STATUS : only == kind;
        Long sector = error.sector();
        if (!kindFits || sector == null || sector == -1) {
            return kindFits;
        }
        long at = sector * 512;
        return at >= offset && at < offset + length;
    }
}
