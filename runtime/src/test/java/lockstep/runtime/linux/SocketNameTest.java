package lockstep.runtime.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

final class SocketNameTest {
    @Test
    void addressesAsUsersReadThem() {
        assertEquals("fe80::1", SocketName.Inet.shorten("fe80:0:0:0:0:0:0:1"));
        assertEquals("::", SocketName.Inet.shorten("0:0:0:0:0:0:0:0"));
        assertEquals("1:0:2:3:4:5:6:7", SocketName.Inet.shorten("1:0:2:3:4:5:6:7"));
    }
}
