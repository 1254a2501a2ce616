package lockstep.qmp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.List;

/** QEMU's key=value text. */
class KeyvalTextTest {
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "a=1,b=2 | {'a':'1','b':'2'}",
                "x,b=2 | {'t':'x','b':'2'}",
                "a.b=1,a.c.d=2 | {'a':{'b':'1','c':{'d':'2'}}}",
                "a.0=x,a.1=y | {'a':['x','y']}",
                "a.0.b=x | {'a':[{'b':'x'}]}",
                "a=x,,y,b= | {'a':'x,y','b':''}",
                "a=1,a=2 | {'a':'2'}",
                "a=1, | {'a':'1'}",
            })
    void good(String text, String tree) throws QmpException {
        assertEquals(JsonStreamParser.parse(tree), KeyvalText.parse(text, "t"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "a=1,b | Expected '=' after parameter 'b'",
                "a=1,=2 | Invalid parameter ''",
                "a..b=1 | Invalid parameter 'a..b'",
                "1=2 | Invalid parameter '1'",
                "a.b=1,a=2 | Parameters 'a.*' used inconsistently",
                "a=1,a.b=2 | Parameters 'a.*' used inconsistently",
                "a.0=1,a.b=2 | Parameters 'a.*' used inconsistently",
                "a.0=1,a.2=2 | Parameter 'a.1' missing",
            })
    void bad(String text, String error) {
        QmpException e = assertThrows(QmpException.class, () -> KeyvalText.parse(text, "t"));
        assertEquals(error, e.description());
    }

    @Test
    void shortBooleansAreUnderstoodWithAWarning() {
        OptionText text = OptionText.parse("socket,id=a,port=1,server,nowait", "backend");
        assertEquals("socket", text.get("backend"));
        assertEquals("on", text.get("server"));
        assertEquals("off", text.get("wait"));
        assertEquals(
                List.of(
                        "short-form boolean option 'server' deprecated\n"
                                + "Please use server=on instead",
                        "short-form boolean option 'nowait' deprecated\n"
                                + "Please use wait=off instead"),
                text.warnings());
    }

    @Test
    void driveOptionsMakeATree() throws QmpException {
        OptionText text =
                OptionText.parse(
                        "if=none,driver=quorum,children.0.file.filename=a,,b,children.0.driver=raw",
                        null);
        assertEquals(
                JsonStreamParser.parse(
                        "{'if':'none','driver':'quorum',"
                                + "'children':[{'file':{'filename':'a,b'},'driver':'raw'}]}"),
                text.toTree());
    }
}
