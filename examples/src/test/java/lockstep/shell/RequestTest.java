package lockstep.shell;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import lockstep.qmp.JsonStreamParser;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.time.Duration;
import java.util.List;

/** From what is typed to what is sent. */
class RequestTest {
    private static final Schema SCHEMA = Schema.own();

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            textBlock =
                    """
                    stop                              | {"execute": "stop"}
                    device_del id=7                   | {"arguments": {"id": "7"}, "execute": "device_del"}
                    exec-oob yank instances=[]        | {"arguments": {"instances": []}, "exec-oob": "yank"}
                    blockdev-add driver=null-co size=1M read-only=on \
                    | {"arguments": {"read-only": true, "size": 1048576, "driver": "null-co"}, "execute": "blockdev-add"}
                    blockdev-add driver=raw file=n0   | {"arguments": {"driver": "raw", "file": "n0"}, "execute": "blockdev-add"}
                    blockdev-add driver=raw file.driver=null-co file.size=0x200 \
                    | {"arguments": {"driver": "raw", "file": {"size": 512, "driver": "null-co"}}, "execute": "blockdev-add"}
                    migrate-set-capabilities capabilities.0.capability=x-colo capabilities.0.state=true \
                    | {"arguments": {"capabilities": [{"state": true, "capability": "x-colo"}]}, "execute": "migrate-set-capabilities"}
                    unheard-of a=1 b=x c=true d={"e":null} \
                    | {"arguments": {"a": 1, "c": true, "b": "x", "d": {"e": null}}, "execute": "unheard-of"}
                    qom-set path=/x property=p value=5 \
                    | {"arguments": {"path": "/x", "value": 5, "property": "p"}, "execute": "qom-set"}
                    """)
    void aLineBecomesARequest(String line, String request) throws Exception {
        assertEquals(JsonStreamParser.parse(request), new Request(SCHEMA).of(Words.of(line)));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            textBlock =
                    """
                    stop now                                  | 'now' is not KEY=VALUE
                    a=1 stop                                  | a command's name comes before its arguments
                    device_del id=1 id=2                      | argument 'id' is given twice
                    blockdev-add driver=null-co read-only=3   | the value '3' of 'read-only' is not of its type
                    device_del id='x                          | a quote ' is not closed
                    x y={"a": 1                               | a bracket is not closed
                    """)
    void mistakesAreNamed(String line, String message) {
        UsageException e =
                assertThrows(UsageException.class, () -> new Request(SCHEMA).of(Words.of(line)));
        assertEquals(message, e.getMessage());
    }

    @Test
    void quotesKeepWhiteSpace() throws Exception {
        assertEquals(
                List.of("a", "b c", "k=d \"e", "f\\g", "j={\"x\": [1, \"}\"]}"),
                Words.of("  a 'b c' \"k=d \\\"e\" f\\\\g j={\"x\": [1, \"}\"]}  "));
    }

    @Test
    void theCommandLineIsRead() throws Exception {
        Options options =
                Options.parse(new String[] {"-p", "--timeout=0.5", "h:1", "--", "--odd", "x=1"});
        assertEquals(List.of("--odd", "x=1"), options.words());
        assertEquals(Duration.ofMillis(500), options.timeout());
        for (List<String> wrong :
                List.of(
                        List.<String>of(),
                        List.of("-x", "s"),
                        List.of("-t", "-1", "s"),
                        List.of("-t"),
                        List.of("--pretty=1", "s"),
                        List.of("-f", "file", "s", "stop"))) {
            assertThrows(
                    UsageException.class,
                    () -> Options.parse(wrong.toArray(String[]::new)),
                    wrong.toString());
        }
    }
}
