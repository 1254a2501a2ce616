package lockstep.qapi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.qapi.model.Branch;
import lockstep.qapi.model.Definition;
import lockstep.qapi.model.EnumValue;
import lockstep.qapi.model.Schema;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/** The schema that this product ships. */
final class ProductSchemaTest {
    private static Schema load() throws InvalidSchemaException {
        return SchemaLoader.load("src/main/qapi/lockstep.json");
    }

    @Test
    void passesItsOwnChecks() throws InvalidSchemaException {
        assertTrue(load().definitions().count() > 300);
    }

    @Test
    void hasEveryCommandOfTheFaultToleranceScripts() throws InvalidSchemaException {
        Schema schema = load();
        for (String command :
                List.of(
                        "qmp_capabilities",
                        "trace-event-set-state",
                        "human-monitor-command",
                        "x-blockdev-change",
                        "migrate-set-capabilities",
                        "migrate",
                        "object-del",
                        "x-colo-lost-heartbeat",
                        "nbd-server-start",
                        "nbd-server-add",
                        "nbd-server-stop",
                        "chardev-remove",
                        "chardev-add")) {
            assertInstanceOf(Definition.Command.class, schema.find(command).orElseThrow(), command);
        }
    }

    /** A value without a branch would be accepted and its options refused one by one. */
    @Test
    void givesEveryBlockDriverItsOptions() throws InvalidSchemaException {
        Schema schema = load();
        Definition.EnumType drivers =
                assertInstanceOf(
                        Definition.EnumType.class, schema.find("BlockdevDriver").orElseThrow());
        Definition.UnionType options =
                assertInstanceOf(
                        Definition.UnionType.class, schema.find("BlockdevOptions").orElseThrow());
        Set<String> branches =
                options.branches().stream().map(Branch::name).collect(Collectors.toSet());
        assertEquals(
                drivers.values().stream().map(EnumValue::name).collect(Collectors.toSet()),
                branches);
    }
}
