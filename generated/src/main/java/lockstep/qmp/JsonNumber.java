package lockstep.qmp;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.OptionalLong;

/** A JSON number: a signed or an unsigned 64-bit integer, or a double. */
public final class JsonNumber implements JsonValue {
    private enum Form {
        SIGNED,
        UNSIGNED,
        DOUBLE
    }

    private final Form form;
    private final long bits;
    private final double real;

    private JsonNumber(Form form, long bits, double real) {
        this.form = form;
        this.bits = bits;
        this.real = real;
    }

    /** A signed integer. */
    public static JsonNumber of(long value) {
        return new JsonNumber(Form.SIGNED, value, 0);
    }

    /** An unsigned integer given by its 64 bits. */
    public static JsonNumber ofUnsigned(long bits) {
        return new JsonNumber(bits < 0 ? Form.UNSIGNED : Form.SIGNED, bits, 0);
    }

    /** A double. */
    public static JsonNumber of(double value) {
        return new JsonNumber(Form.DOUBLE, 0, value);
    }

    /** The number a JSON token spells: an integer where 64 bits hold it, else a double. */
    static JsonNumber parse(String token) {
        boolean integer = token.indexOf('.') < 0 && token.indexOf('e') < 0;
        if (integer && token.indexOf('E') < 0) {
            try {
                return of(Long.parseLong(token));
            } catch (NumberFormatException e) {
                // Too large for a signed one; QEMU tries unsigned next and a double last.
            }
            if (token.charAt(0) != '-') {
                try {
                    return ofUnsigned(Long.parseUnsignedLong(token));
                } catch (NumberFormatException e) {
                    return of(Double.parseDouble(token));
                }
            }
        }
        return of(Double.parseDouble(token));
    }

    /** The value if it is an integer from -2^63 to 2^63-1. */
    public OptionalLong signed() {
        return form == Form.SIGNED ? OptionalLong.of(bits) : OptionalLong.empty();
    }

    /** The 64 bits if it is an integer from 0 to 2^64-1. */
    public OptionalLong unsigned() {
        boolean good = form == Form.UNSIGNED || (form == Form.SIGNED && bits >= 0);
        return good ? OptionalLong.of(bits) : OptionalLong.empty();
    }

    /** Whether it is one of the integers. */
    public boolean isInteger() {
        return form != Form.DOUBLE;
    }

    /** The value as a double, rounded if need be. */
    public double doubleValue() {
        return switch (form) {
            case SIGNED -> (double) bits;
            case UNSIGNED -> Double.parseDouble(Long.toUnsignedString(bits));
            case DOUBLE -> real;
        };
    }

    @Override
    public Kind kind() {
        return Kind.NUMBER;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof JsonNumber number
                && number.form == form
                && number.bits == bits
                && Double.compare(number.real, real) == 0;
    }

    @Override
    public int hashCode() {
        return 31 * Long.hashCode(bits) + Double.hashCode(real);
    }

    /** The digits QMP writes; doubles have up to 17 significant digits, as C's {@code %.17g}. */
    @Override
    public String toString() {
        return switch (form) {
            case SIGNED -> Long.toString(bits);
            case UNSIGNED -> Long.toUnsignedString(bits);
            case DOUBLE -> general(real);
        };
    }

    private static String general(double value) {
        if (Double.isNaN(value)) {
            return "nan";
        }
        if (Double.isInfinite(value)) {
            return value > 0 ? "inf" : "-inf";
        }
        if (value == 0) {
            return 1 / value < 0 ? "-0" : "0";
        }
        BigDecimal exact = new BigDecimal(value);
        BigDecimal rounded = exact.round(new MathContext(17, RoundingMode.HALF_EVEN));
        int exponent = rounded.precision() - rounded.scale() - 1;
        BigDecimal stripped = rounded.stripTrailingZeros();
        if (exponent >= -4 && exponent < 17) {
            return stripped.toPlainString();
        }
        String digits = stripped.unscaledValue().abs().toString();
        StringBuilder text = new StringBuilder(value < 0 ? "-" : "").append(digits.charAt(0));
        if (digits.length() > 1) {
            text.append('.').append(digits, 1, digits.length());
        }
        text.append('e').append(exponent < 0 ? '-' : '+');
        int size = Math.abs(exponent);
        return text.append(size < 10 ? "0" : "").append(size).toString();
    }
}
