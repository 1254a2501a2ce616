package lockstep.tools.img;

import lockstep.tools.shell.ToolException;

/** Names of files. */
final class Names {
    private Names() {}

    private static String protocol(String name) {
        int colon = name.indexOf(':');
        return colon > 0 && !name.substring(0, colon).contains("/") ? name.substring(0, colon) : "";
    }

    /** A name that an image has for what is below it, which counts from the image's own folder. */
    static String below(String image, String name) {
        String own = image.startsWith("file:") ? image.substring(5) : image;
        int slash = own.lastIndexOf('/');
        if (!relative(name) || slash < 0) {
            return name;
        }
        return own.substring(0, slash + 1) + name;
    }

    /** Whether it depends on where it stands what a name is the name of. */
    static boolean relative(String name) {
        return protocol(name).isEmpty() && !name.startsWith("/");
    }

    /** The path of a file to be made. */
    static String path(String prefix, String name) throws ToolException {
        return switch (protocol(name)) {
            case "" -> name;
            case "file" -> name.substring(5);
            case "nbd", "nbd+unix" ->
                    throw new ToolException(
                            prefix + "An export cannot be made; use convert -n to write to one");
            default ->
                    throw new ToolException(prefix + "Unknown protocol '" + protocol(name) + "'");
        };
    }
}
