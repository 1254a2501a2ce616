package lockstep.runtime.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.linux.abi.LinuxAbi;

import org.junit.jupiter.api.Test;

import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.Arrays;

/** The numbers are those of the kernel's headers. */
final class ErrnoTest {
    @Test
    void numbersAreTheKernels() throws ReflectiveOperationException {
        int compared = 0;
        for (Field field : Errno.class.getFields()) {
            Method header =
                    Arrays.stream(LinuxAbi.class.getMethods())
                            .filter(m -> m.getName().equals(field.getName()))
                            .findFirst()
                            .orElse(null);
            if (header != null) {
                assertEquals(header.invoke(null), field.get(null), field.getName());
                compared++;
            }
        }
        assertTrue(compared > 40, "only " + compared + " are in the headers");
    }
}
