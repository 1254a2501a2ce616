package lockstep.runtime.tls;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.AuthZListFileProperties;
import lockstep.api.AuthZListProperties;
import lockstep.api.ObjectOptions;
import lockstep.api.QAuthZListFormat;
import lockstep.api.QAuthZListPolicy;
import lockstep.api.QAuthZListRule;
import lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;

import javax.security.auth.x500.X500Principal;

/** Keys, names, versions and rules. */
final class TlsPartsTest {
    /** Where the older form of an RSA key of 2048 bits begins in that of PKCS #8, behind version and algorithm. */
    private static final int RSA_INSIDE = 26;

    private static byte[] pem(String label, byte[] der) {
        return ("text before\n-----BEGIN "
                        + label
                        + "-----\n"
                        + Base64.getMimeEncoder().encodeToString(der)
                        + "\n-----END "
                        + label
                        + "-----\n")
                .getBytes(StandardCharsets.ISO_8859_1);
    }

    @ParameterizedTest
    @ValueSource(strings = {"RSA", "EC", "Ed25519"})
    void aKeyOfEachKindIsRead(String algorithm) throws GeneralSecurityException {
        PrivateKey key = KeyPairGenerator.getInstance(algorithm).generateKeyPair().getPrivate();
        assertArrayEquals(
                key.getEncoded(),
                Pem.privateKey(pem("PRIVATE KEY", key.getEncoded()), "").getEncoded());
    }

    @Test
    void theOlderFormOfAnRsaKeyIsRead() throws GeneralSecurityException {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
        generator.initialize(2048);
        PrivateKey key = generator.generateKeyPair().getPrivate();
        byte[] all = key.getEncoded();
        byte[] inside = Arrays.copyOfRange(all, RSA_INSIDE, all.length);
        assertEquals(key, Pem.privateKey(pem("RSA PRIVATE KEY", inside), ""));
    }

    @Test
    void theOlderFormOfAnEcKeyIsRead() throws GeneralSecurityException {
        // The key 1 on P-256, with the curve's name and without the public key (RFC 5915).
        byte[] der =
                HexFormat.of()
                        .parseHex(
                                "30310201010420" + "00".repeat(31) + "01a00a06082a8648ce3d030107");
        PrivateKey key = Pem.privateKey(pem("EC PRIVATE KEY", der), "");
        assertEquals("EC", key.getAlgorithm());
        byte[] nameless = HexFormat.of().parseHex("30250201010420" + "00".repeat(31) + "01");
        assertThrows(
                GeneralSecurityException.class,
                () -> Pem.privateKey(pem("EC PRIVATE KEY", nameless), ""));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"})
    void whatIsNoKeyIsRefused(String label) {
        for (String der : List.of("", "30", "3080", "3005020100", "30ffffffffff", "0400")) {
            byte[] file = pem(label, HexFormat.of().parseHex(der));
            assertThrows(GeneralSecurityException.class, () -> Pem.privateKey(file, "secret"), der);
        }
        byte[] none = {};
        assertThrows(GeneralSecurityException.class, () -> Pem.privateKey(none, ""));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "CN=client, O=Home, C=GB | C=GB,O=Home,CN=client",
                "CN=one | CN=one",
                "CN=\"a,b\", O=Home | O=Home,CN=a\\,b",
                "CN=x, 1.2.840.113549.1.9.1=me@home | EMAIL=me@home,CN=x"
            })
    void namesKeepTheOrderOfTheCertificate(String given, String shown) {
        assertEquals(shown, DistinguishedName.inOrder(new X500Principal(given)));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "'' | TLSv1.3,TLSv1.2",
                "NORMAL | TLSv1.3,TLSv1.2",
                "NORMAL:-VERS-TLS1.3 | TLSv1.2",
                "NORMAL:-VERS-ALL:+VERS-TLS1.3 | TLSv1.3"
            })
    void versionsCanBeChosen(String priority, String versions) throws QmpException {
        assertEquals(List.of(versions.split(",")), TlsPriority.protocols(priority));
    }

    @ParameterizedTest
    @ValueSource(strings = {"NORMAL:-VERS-ALL", "NORMAL:+ANON-DH", "what"})
    void whatHasNoMeaningHereIsRefused(String priority) {
        QmpException e = assertThrows(QmpException.class, () -> TlsPriority.protocols(priority));
        assertTrue(String.valueOf(e.getMessage()).contains(priority));
    }

    @Test
    void theFirstRuleThatFitsCounts() {
        ListAuthorization list =
                ListAuthorization.create(
                        new ObjectOptions.AuthzList(
                                "a",
                                new AuthZListProperties(
                                        QAuthZListPolicy.DENY,
                                        List.of(
                                                new QAuthZListRule(
                                                        "CN=bad*",
                                                        QAuthZListPolicy.DENY,
                                                        QAuthZListFormat.GLOB),
                                                new QAuthZListRule(
                                                        "CN=b?d.example",
                                                        QAuthZListPolicy.ALLOW,
                                                        QAuthZListFormat.GLOB),
                                                new QAuthZListRule(
                                                        "CN=*", QAuthZListPolicy.ALLOW, null)))));
        assertEquals(false, list.allows("CN=bad.example"));
        assertEquals(true, list.allows("CN=bed.example"));
        assertEquals(false, list.allows("CN=bedxexample"));
        assertEquals(true, list.allows("CN=*"));
        assertEquals(false, list.allows("CN=other"));
    }

    @Test
    void aFileOfRulesCountsAsItIsWhenSomebodyComes(@TempDir Path directory) throws Exception {
        Path file = directory.resolve("rules.json");
        String rules = "{\"rules\": [{\"match\": \"CN=%s\", \"policy\": \"allow\"}]}";
        Files.writeString(file, rules.formatted("one"));
        FileAuthorization fresh = file(file, null);
        FileAuthorization once = file(file, false);
        assertEquals(true, fresh.allows("CN=one") && once.allows("CN=one"));
        Files.writeString(file, rules.formatted("two"));
        assertEquals(true, fresh.allows("CN=two"));
        assertEquals(false, fresh.allows("CN=one"));
        assertEquals(true, once.allows("CN=one"));
        for (String bad : List.of("", "[]", "{\"policy\": \"x\"}", rules + rules)) {
            Files.writeString(file, bad);
            assertThrows(QmpException.class, () -> fresh.allows("CN=two"));
            assertThrows(QmpException.class, () -> file(file, null));
        }
        Files.delete(file);
        QmpException e = assertThrows(QmpException.class, () -> fresh.allows("CN=two"));
        assertEquals("Unable to read '" + file + "': No such file or directory", e.description());
        assertEquals(true, once.allows("CN=one"));
    }

    private static FileAuthorization file(Path file, @Nullable Boolean refresh)
            throws QmpException {
        return FileAuthorization.create(
                new ObjectOptions.AuthzListFile(
                        "f", new AuthZListFileProperties(file.toString(), refresh)));
    }
}
