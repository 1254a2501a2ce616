package lockstep.qmp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.COLOExitReason;
import lockstep.api.COLOMode;
import lockstep.api.ColoExitEvent;
import lockstep.api.Event;
import lockstep.api.Introspection;
import lockstep.api.QdevCommands;
import lockstep.api.RunState;
import lockstep.api.RunStateCommands;
import lockstep.api.SchemaInfo;
import lockstep.api.StatusInfo;
import lockstep.api.StopEvent;
import lockstep.api.YankCommands;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.time.Instant;

/** Requests and the replies that a real QEMU gives to them. */
class CommandTableTest {
    private static CommandTable table() {
        CommandTable table = new CommandTable();
        table.register(
                RunStateCommands.QUERY_STATUS, none -> new StatusInfo(true, RunState.RUNNING));
        table.register(QdevCommands.DEVICE_DEL, arguments -> Empty.EMPTY);
        table.register(YankCommands.YANK, arguments -> Empty.EMPTY);
        table.register(
                RunStateCommands.SYSTEM_RESET,
                arguments -> {
                    throw new IllegalStateException("broken");
                });
        return table;
    }

    private static String reply(String request, boolean oob) throws QmpException {
        return String.valueOf(table().dispatch(JsonStreamParser.parse(request), oob));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{'execute':'query-status','id':1} | {\"return\": {\"status\": \"running\","
                        + " \"running\": true}, \"id\": 1}",
                "{'execute':'nosuch'} | {\"error\": {\"class\": \"CommandNotFound\", \"desc\":"
                        + " \"The command nosuch has not been found\"}}",
                "{'execute':'device_del'} | {\"error\": {\"class\": \"GenericError\", \"desc\":"
                        + " \"Parameter 'id' is missing\"}}",
                "{'execute':'query-status','arguments':{'foo':1}} | {\"error\": {\"class\":"
                        + " \"GenericError\", \"desc\": \"Parameter 'foo' is unexpected\"}}",
                "{'id':'z'} | {\"id\": \"z\", \"error\": {\"class\": \"GenericError\", \"desc\":"
                        + " \"QMP input lacks member 'execute'\"}}",
                "{'execute':'device_del','arguments':{'id':'a'}} | {\"return\": {}}",
            })
    void wholeReplies(String request, String reply) throws QmpException {
        assertEquals(reply, reply(request, false));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{'execute':'query-status','arguments':[]}"
                        + " | QMP input member 'arguments' must be an object",
                "{'execute':5} | QMP input member 'execute' must be a string",
                "{'exec-oob':'query-status'} | QMP input member 'exec-oob' is unexpected",
                "{'execute':'query-status','foo':1} | QMP input member 'foo' is unexpected",
                "{} | QMP input lacks member 'execute'",
                "[] | QMP input must be a JSON object",
                "null | QMP input must be a JSON object",
            })
    void withoutOob(String request, String text) throws QmpException {
        assertTrue(reply(request, false).contains("\"desc\": \"" + text + "\""));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{'exec-oob':'query-status','id':1}"
                        + " | The command query-status does not support OOB",
                "{'execute':'query-status','exec-oob':'query-status'}"
                        + " | QMP input member 'execute' clashes with 'exec-oob'",
                "{'exec-oob':5} | QMP input member 'exec-oob' must be a string",
            })
    void withOob(String request, String text) throws QmpException {
        assertTrue(
                reply(request, true).contains("\"desc\": \"" + text + "\""),
                () -> "reply to " + request);
    }

    @Test
    void oobCommandsAnswer() throws QmpException {
        assertEquals(
                "{\"return\": {}, \"id\": 3}",
                reply("{'exec-oob':'yank','arguments':{'instances':[]},'id':3}", true));
    }

    @Test
    void aBrokenHandlerIsAnErrorOfTheCommand() throws QmpException {
        assertTrue(reply("{'execute':'system_reset'}", false).contains("GenericError"));
    }

    @Test
    void unavailableCommands() throws QmpException {
        CommandTable table = table();
        table.availableWhen(command -> false);
        JsonValue request = JsonStreamParser.parse("{'execute':'device_del'}");
        assertTrue(
                String.valueOf(table.dispatch(request, false))
                        .contains("permitted only after machine initialization has completed"));
    }

    @Test
    void events() throws QmpException {
        Instant time = Instant.ofEpochSecond(1795429296, 814_271_999);
        assertEquals(
                "{\"timestamp\": {\"seconds\": 1795429296, \"microseconds\": 814271},"
                        + " \"event\": \"STOP\"}",
                JsonPrinter.compact(new StopEvent().toMessage(time)));
        ColoExitEvent exit = new ColoExitEvent(COLOMode.PRIMARY, COLOExitReason.REQUEST);
        JsonObject message = exit.toMessage(time);
        assertTrue(
                JsonPrinter.compact(message)
                        .endsWith("\"data\": {\"mode\": \"primary\", \"reason\": \"request\"}}"));
        assertEquals(exit, Event.read("COLO_EXIT", exit.dataJson()));
        assertEquals(
                new UnknownEvent("NEW", new JsonObject()), Event.read("NEW", new JsonObject()));
    }

    @Test
    void introspectionDataReadsAsSchemaInfo() throws QmpException {
        JsonArray data = Introspection.schemaInfo();
        boolean found = false;
        for (JsonValue entry : data) {
            SchemaInfo info = SchemaInfo.read(new JsonInputVisitor(entry), null);
            found |= info.name().equals("blockdev-add");
        }
        assertTrue(found);
    }
}
