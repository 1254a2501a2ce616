package lockstep.runtime.vmstate;

import java.util.ArrayDeque;
import java.util.Deque;

/**
 * The JSON text at the end of a migration stream that says what each section holds. A reader may throw it
 * away; tools parse streams with it.
 */
public final class Description {
    private static final class Level {
        boolean fields;
        boolean subsections;
        boolean any;
    }

    private final boolean enabled;
    private final StringBuilder text = new StringBuilder();
    private final Deque<Level> levels = new ArrayDeque<>();
    private boolean anyDevice;

    private Description(boolean enabled) {
        this.enabled = enabled;
    }

    /** An empty description for pages of {@code pageSize} bytes. */
    public static Description begin(int pageSize) {
        Description d = new Description(true);
        d.text.append("{\"page_size\": ").append(pageSize).append(", \"devices\": [");
        return d;
    }

    /** A description that forgets everything. */
    public static Description none() {
        return new Description(false);
    }

    /**
     * Ends the description and gives its text.
     *
     * @param more what stands behind the devices: nothing, or members with a comma in front
     */
    public String end(String more) {
        return text.append(']').append(more).append('}').toString();
    }

    void beginDevice(String name, int instance, int version) {
        if (!enabled) {
            return;
        }
        text.append(anyDevice ? ", {" : "{");
        anyDevice = true;
        // The bus path is part of the section's name, not of its description's.
        String vmsd = name.substring(name.lastIndexOf('/') + 1);
        text.append("\"name\": \"").append(name);
        text.append("\", \"instance_id\": ").append(instance);
        text.append(", \"vmsd_name\": \"").append(vmsd);
        text.append("\", \"version\": ").append(version);
        levels.push(new Level());
    }

    void endDevice() {
        if (enabled) {
            close();
            text.append('}');
        }
    }

    void field(String name, String type, int size) {
        if (enabled) {
            open();
            text.append("{\"name\": \"").append(name);
            text.append("\", \"type\": \"").append(type);
            text.append("\", \"size\": ").append(size).append('}');
        }
    }

    void array(String name, String type, int size, int length) {
        if (enabled) {
            open();
            text.append("{\"name\": \"").append(name);
            text.append("\", \"array_len\": ").append(length);
            text.append(", \"type\": \"").append(type);
            text.append("\", \"size\": ").append(size).append('}');
        }
    }

    void beginStruct(String name, int index, String vmsd, int version) {
        if (!enabled) {
            return;
        }
        open();
        text.append("{\"name\": \"").append(name);
        text.append('"');
        if (index >= 0) {
            text.append(", \"index\": ").append(index);
        }
        text.append(", \"type\": \"struct\", \"struct\": {\"vmsd_name\": \"").append(vmsd);
        text.append("\", \"version\": ").append(version);
        levels.push(new Level());
    }

    void endStruct(int size) {
        if (enabled) {
            close();
            text.append("}, \"size\": ").append(size).append('}');
        }
    }

    void beginSubsection(String name, int version) {
        if (!enabled) {
            return;
        }
        Level level = levels.element();
        if (!level.subsections) {
            if (level.fields) {
                text.append(']');
            } else {
                text.append(", \"fields\": []");
            }
            text.append(", \"subsections\": [");
            level.subsections = true;
        } else {
            text.append(", ");
        }
        text.append("{\"vmsd_name\": \"").append(name);
        text.append("\", \"version\": ").append(version);
        levels.push(new Level());
    }

    void endSubsection() {
        if (enabled) {
            close();
            text.append('}');
        }
    }

    private void open() {
        Level level = levels.element();
        if (level.subsections) {
            throw new IllegalStateException("a field was described behind a subsection");
        }
        if (!level.fields) {
            text.append(", \"fields\": [");
            level.fields = true;
        }
        text.append(level.any ? ", " : "");
        level.any = true;
    }

    private void close() {
        Level level = levels.pop();
        if (level.fields || level.subsections) {
            text.append(']');
        } else {
            text.append(", \"fields\": []");
        }
    }
}
