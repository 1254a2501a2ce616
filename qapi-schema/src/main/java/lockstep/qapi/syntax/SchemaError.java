package lockstep.qapi.syntax;

/**
 * One error in a schema. The text of {@link #toString()} is what QEMU's generator prints for it.
 *
 * @param info where it is; without a line when the main file cannot be read
 * @param column column from 1 for errors of syntax, 0 when the error has none
 * @param message what is wrong; may have several lines
 */
public record SchemaError(SourceInfo info, int column, String message) {

    @Override
    public String toString() {
        if (info.line() == 0) {
            return message;
        }
        return info + (column > 0 ? ":" + column : "") + ": " + message;
    }
}
