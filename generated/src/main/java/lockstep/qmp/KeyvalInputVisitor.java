package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * Reads from a tree whose leaves are the strings of {@code key=value} text: booleans are {@code on}
 * and {@code off}, integers may be hexadecimal or octal, sizes may have a suffix.
 */
public final class KeyvalInputVisitor extends InputVisitor {
    /** Which of QEMU's families of texts is used for what cannot be read. */
    public enum Style {
        /** {@code Invalid parameter 'x'}: -object, -netdev, -chardev, -drive and their like. */
        OPTIONS,
        /** {@code Parameter 'x' is unexpected}: -blockdev, -audiodev, -display and their like. */
        KEYVAL,
        /** As {@code KEYVAL}, but numbers are named by their types: -global. */
        PROPERTY
    }

    private final Style style;

    /** Reads what {@link KeyvalText} made. */
    public KeyvalInputVisitor(JsonObject root, Style style) {
        super(root, false);
        this.style = style;
    }

    @Override
    String indexText(int index) {
        return "." + index;
    }

    @Override
    String unexpected(String path, JsonValue value) {
        if (style != Style.OPTIONS) {
            return "Parameter '" + path + "' is unexpected";
        }
        // The older text is flat: the whole dotted key is the name of the option.
        StringBuilder key = new StringBuilder(path);
        JsonValue at = value;
        while (at instanceof JsonObject object && !object.isEmpty()) {
            Map.Entry<String, JsonValue> first = object.inWireOrder().getFirst();
            key.append('.').append(first.getKey());
            at = first.getValue();
        }
        return "Invalid parameter '" + key + "'";
    }

    @Override
    <T> @Nullable List<T> single(@Nullable String name, JsonValue value, ValueReader<T> reader)
            throws QmpException {
        // The older text has no lists: an option that may repeat is given once for each element.
        return style == Style.OPTIONS && value instanceof JsonString
                ? List.of(reader.read(this, name))
                : null;
    }

    private String text(@Nullable String name) throws QmpException {
        if (take(name) instanceof JsonString string) {
            return string.value();
        }
        throw new QmpException("Parameters '" + path(name) + ".*' are unexpected");
    }

    @Override
    public String string(@Nullable String name) throws QmpException {
        return text(name);
    }

    @Override
    public boolean bool(@Nullable String name) throws QmpException {
        return switch (text(name)) {
            case "on", "yes", "true", "y" -> true;
            case "off", "no", "false", "n" -> false;
            default -> throw expects(name, "'on' or 'off'");
        };
    }

    @Override
    public double number(@Nullable String name) throws QmpException {
        OptionalDouble value = NumberText.real(text(name));
        if (value.isEmpty()) {
            throw expects(name, "number");
        }
        return value.getAsDouble();
    }

    private String number(String inOptions, String inProperties) {
        return switch (style) {
            case OPTIONS -> inOptions;
            case KEYVAL -> "integer";
            case PROPERTY -> inProperties;
        };
    }

    @Override
    public long int64(@Nullable String name) throws QmpException {
        OptionalLong value = NumberText.signed(text(name)).toOptional();
        if (value.isEmpty()) {
            throw expects(name, number("an int64 value", "int64"));
        }
        return value.getAsLong();
    }

    @Override
    public long uint64(@Nullable String name) throws QmpException {
        String text = text(name);
        // The newer text takes a negative number for its 64 bits, as JSON does.
        OptionalLong value =
                (style == Style.OPTIONS ? NumberText.unsigned(text) : NumberText.wrapping(text))
                        .toOptional();
        if (value.isEmpty()) {
            throw expects(name, number("a uint64 value", "uint64"));
        }
        return value.getAsLong();
    }

    @Override
    public long size(@Nullable String name) throws QmpException {
        OptionalLong value = NumberText.size(text(name)).toOptional();
        if (value.isEmpty()) {
            throw expects(
                    name,
                    switch (style) {
                        case OPTIONS -> "a size value";
                        case KEYVAL -> "size";
                        case PROPERTY -> "a non-negative number below 2^64";
                    });
        }
        return value.getAsLong();
    }

    @Override
    public JsonNull nul(@Nullable String name) throws QmpException {
        if (text(name).isEmpty()) {
            return JsonNull.NULL;
        }
        throw wrongType(name, "null");
    }
}
