package lockstep.tools.nbd;

import lockstep.block.nbd.NbdListing;
import lockstep.tools.shell.Console;

import java.util.List;

/** The exports of a server, for people. */
record ListText(Console console) {
    /** The names of the transmission flags from the second on, in the order of their bits. */
    private static final List<String> FLAGS =
            List.of(
                    "readonly",
                    "flush",
                    "fua",
                    "rotational",
                    "trim",
                    "zeroes",
                    "df",
                    "multi",
                    "resize",
                    "cache",
                    "fast-zero",
                    "block-status-payload");

    void print(List<NbdListing.Export> exports) {
        console.line("exports available: " + exports.size());
        exports.forEach(this::print);
    }

    private void print(NbdListing.Export export) {
        console.line(" export: '" + export.name() + "'");
        if (!export.description().isEmpty()) {
            console.line("  description: " + export.description());
        }
        console.line("  size:  " + Long.toUnsignedString(export.size()));
        StringBuilder flags = new StringBuilder("  flags: 0x%x (".formatted(export.flags()));
        for (int i = 0; i < FLAGS.size(); i++) {
            if ((export.flags() >> i + 1 & 1) != 0) {
                flags.append(' ').append(FLAGS.get(i));
            }
        }
        console.line(flags.append(" )").toString());
        int[] blocks = export.blocks();
        if (blocks != null) {
            console.line("  min block: " + Integer.toUnsignedString(blocks[0]));
            console.line("  opt block: " + Integer.toUnsignedString(blocks[1]));
            console.line("  max block: " + Integer.toUnsignedString(blocks[2]));
        }
        if (!export.contexts().isEmpty()) {
            console.line("  available meta contexts: " + export.contexts().size());
            export.contexts().forEach(c -> console.line("   " + c));
        }
    }
}
