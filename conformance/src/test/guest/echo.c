/*
 * A guest that lives on the network: drives the e1000 by polling, answers ARP and ping, echoes UDP and TCP on
 * port 7, and serves a counter of the requests it has seen on UDP port 8. A second e1000 has the next address.
 * One that keeps what it gets writes each piece of TCP to a sector of a disk before it answers: the first one for
 * the first card, the second one for the second. Freestanding, 64 bit, ring 3. The serial port
 * tells what happens. Two copies that get the same packets answer the same, but for the first TCP
 * sequence number, which comes from the time stamp counter as a real system's would come from chance.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#define RING 32
#define BUFFER 2048

struct rx { u64 address; u16 length; u16 sum; u8 status; u8 errors; u16 special; };
struct tx { u64 address; u16 length; u8 cso; u8 command; u8 status; u8 css; u16 special; };

static const u8 *const first_ip = (const u8 *) 0x7c00 + 500;
static const u8 *const keeps = (const u8 *) 0x7c00 + 504;
static u32 requests;

/* A network card, and the connection over it. */
static struct card {
    volatile struct rx *rx;
    volatile struct tx *tx;
    u8 *rx_data, *tx_data;
    volatile u32 *nic;
    u32 rx_at, tx_at;
    u8 mac[6], ip[4];
    u32 kept;
    struct {
        int state; /* 0 closed, 1 SYN received, 2 open, 3 FIN sent */
        u8 peer_mac[6], peer_ip[4];
        u16 peer_port;
        u32 rcv_next, snd_una, snd_next;
        u8 sent[1500];
        u32 sent_length; /* bytes of payload that are not acknowledged */
        u8 sent_flags;
        u64 deadline;
    } tcp;
} cards[2];

/* The one that is worked for. */
static struct card *card;

static inline void outb(u16 p, u8 v) { __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(p)); }
static inline u8 inb(u16 p) { u8 v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static inline void outl(u16 p, u32 v) { __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(p)); }
static inline void outw(u16 p, u16 v) { __asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(p)); }
static inline u32 inl(u16 p) { u32 v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static inline u64 tsc(void) { u32 a, d; __asm__ volatile("rdtsc" : "=a"(a), "=d"(d)); return (u64) d << 32 | a; }

static void say(const char *s) {
    for (; *s; s++) {
        outb(0x3f8, (u8) *s);
    }
}

static void copy(void *to, const void *from, u32 n) {
    for (u32 i = 0; i < n; i++) {
        ((u8 *) to)[i] = ((const u8 *) from)[i];
    }
}

static int equal(const u8 *a, const u8 *b, u32 n) {
    for (u32 i = 0; i < n; i++) {
        if (a[i] != b[i]) {
            return 0;
        }
    }
    return 1;
}

static u16 get16(const u8 *p) { return (u16) (p[0] << 8 | p[1]); }
static void put16(u8 *p, u32 v) { p[0] = (u8) (v >> 8); p[1] = (u8) v; }
static u32 get32(const u8 *p) { return (u32) get16(p) << 16 | get16(p + 2); }
static void put32(u8 *p, u32 v) { put16(p, v >> 16); put16(p + 2, v & 0xffff); }

static u32 sum(const u8 *p, u32 n, u32 s) {
    for (u32 i = 0; i + 1 < n; i += 2) {
        s += get16(p + i);
    }
    if (n & 1) {
        s += (u32) p[n - 1] << 8;
    }
    return s;
}

static u16 fold(u32 s) {
    while (s >> 16) {
        s = (s & 0xffff) + (s >> 16);
    }
    return (u16) ~s;
}

static u32 pci_read(u32 slot, u32 reg) {
    outl(0xcf8, 0x80000000u | slot << 11 | reg);
    return inl(0xcfc);
}

static void pci_write(u32 slot, u32 reg, u32 v) {
    outl(0xcf8, 0x80000000u | slot << 11 | reg);
    outl(0xcfc, v);
}

/* Starts the card that is found from a slot on. Returns the slot behind it, or 0. */
static u32 start(u32 slot) {
    while (slot < 32 && pci_read(slot, 0) != 0x100e8086) {
        slot++;
    }
    if (slot == 32) {
        return 0;
    }
    u64 memory = 0x100000 + (u64) (card - cards) * 0x80000;
    card->rx = (volatile struct rx *) memory;
    card->tx = (volatile struct tx *) (memory + 0x1000);
    card->rx_data = (u8 *) memory + 0x10000;
    card->tx_data = (u8 *) memory + 0x30000;
    copy(card->ip, first_ip, 4);
    card->ip[3] = (u8) (card->ip[3] + (card - cards));
    card->nic = (volatile u32 *) (u64) (pci_read(slot, 0x10) & ~0xfu);
    pci_write(slot, 4, pci_read(slot, 4) | 6);
    card->nic[0x00d8 / 4] = 0xffffffff;
    card->nic[0x0000 / 4] = card->nic[0] | 1u << 26;
    card->nic[0x00d8 / 4] = 0xffffffff;
    card->nic[0x0000 / 4] = card->nic[0] | 1u << 6;
    u32 low = card->nic[0x5400 / 4];
    u32 high = card->nic[0x5404 / 4];
    for (int i = 0; i < 4; i++) {
        card->mac[i] = (u8) (low >> 8 * i);
    }
    card->mac[4] = (u8) high;
    card->mac[5] = (u8) (high >> 8);
    for (u32 i = 0; i < RING; i++) {
        card->rx[i].address = (u64) card->rx_data + i * BUFFER;
        card->rx[i].status = 0;
        card->tx[i].address = (u64) card->tx_data + i * BUFFER;
        card->tx[i].status = 1;
    }
    card->nic[0x2800 / 4] = (u32) (u64) card->rx;
    card->nic[0x2804 / 4] = 0;
    card->nic[0x2808 / 4] = RING * 16;
    card->nic[0x2810 / 4] = 0;
    card->nic[0x2818 / 4] = RING - 1;
    card->nic[0x3800 / 4] = (u32) (u64) card->tx;
    card->nic[0x3804 / 4] = 0;
    card->nic[0x3808 / 4] = RING * 16;
    card->nic[0x3810 / 4] = 0;
    card->nic[0x3818 / 4] = 0;
    card->nic[0x0400 / 4] = 0x4010a; /* enable, pad short packets */
    card->nic[0x0100 / 4] = 0x04008002; /* enable, broadcast, strip the check sequence */
    return slot + 1;
}

/* The buffer for the next frame to send. */
static u8 *frame(void) {
    while (!(card->tx[card->tx_at].status & 1)) {
    }
    return card->tx_data + card->tx_at * BUFFER;
}

static void send(u32 length) {
    if (length < 60) {
        u8 *f = card->tx_data + card->tx_at * BUFFER;
        while (length < 60) {
            f[length++] = 0;
        }
    }
    card->tx[card->tx_at].length = (u16) length;
    card->tx[card->tx_at].cso = 0;
    card->tx[card->tx_at].status = 0;
    card->tx[card->tx_at].command = 0x0b; /* end of packet, check sequence, report status */
    card->tx_at = (card->tx_at + 1) % RING;
    __asm__ volatile("" ::: "memory");
    card->nic[0x3818 / 4] = card->tx_at;
}

/* Fills Ethernet and IP headers; the payload of `length` bytes stands behind them. */
static void ip_header(u8 *f, const u8 *to_mac, const u8 *to_ip, u8 protocol, u32 length) {
    copy(f, to_mac, 6);
    copy(f + 6, card->mac, 6);
    put16(f + 12, 0x0800);
    f[14] = 0x45;
    f[15] = 0;
    put16(f + 16, 20 + length);
    put32(f + 18, 0x00004000);
    f[22] = 64;
    f[23] = protocol;
    put16(f + 24, 0);
    copy(f + 26, card->ip, 4);
    copy(f + 30, to_ip, 4);
    put16(f + 24, fold(sum(f + 14, 20, 0)));
}

static u32 pseudo(const u8 *f, u32 length) {
    return sum(f + 26, 8, f[23] + length);
}

static void arp(const u8 *p) {
    if (get16(p + 20) != 1 || !equal(p + 38, card->ip, 4)) {
        return;
    }
    u8 *f = frame();
    copy(f, p + 6, 6);
    copy(f + 6, card->mac, 6);
    copy(f + 12, p + 12, 8);
    put16(f + 20, 2);
    copy(f + 22, card->mac, 6);
    copy(f + 28, card->ip, 4);
    copy(f + 32, p + 22, 10);
    send(42);
}

static void icmp(const u8 *p, u32 length) {
    if (length < 8 || p[34] != 8) {
        return;
    }
    u8 *f = frame();
    copy(f + 34, p + 34, length);
    f[34] = 0;
    put16(f + 36, 0);
    put16(f + 36, fold(sum(f + 34, length, 0)));
    ip_header(f, p + 6, p + 26, 1, length);
    send(34 + length);
}

static void udp(const u8 *p, u32 length) {
    u32 port = get16(p + 36);
    if (length < 8 || (port != 7 && port != 8)) {
        return;
    }
    u8 *f = frame();
    copy(f + 34, p + 34, length);
    put16(f + 34, port);
    put16(f + 36, get16(p + 34));
    if (port == 8) {
        length = 12;
        put32(f + 42, ++requests);
    }
    put16(f + 38, length);
    put16(f + 40, 0);
    ip_header(f, p + 6, p + 26, 17, length);
    u16 s = fold(sum(f + 34, length, pseudo(f, length)));
    put16(f + 40, s ? s : 0xffff);
    send(34 + length);
}

static void segment(u32 sequence, u8 flags, const u8 *data, u32 length) {
    u8 *f = frame();
    u8 *t = f + 34;
    put16(t, 7);
    put16(t + 2, card->tcp.peer_port);
    put32(t + 4, sequence);
    put32(t + 8, card->tcp.rcv_next);
    t[12] = 0x50;
    t[13] = flags;
    put16(t + 14, 1460);
    put32(t + 16, 0);
    u32 header = 20;
    if (flags & 2) {
        put32(t + 20, 0x020405b4); /* segments of 1460 bytes */
        header = 24;
        t[12] = 0x60;
    }
    copy(t + header, data, length);
    ip_header(f, card->tcp.peer_mac, card->tcp.peer_ip, 6, header + length);
    put16(t + 16, fold(sum(t, header + length, pseudo(f, header + length))));
    send(34 + header + length);
}

#define FIRST_KEPT 4096

/* Writes a piece to the next sector of the disk, and waits until it is there. */
static void keep(const u8 *data, u32 length) {
    u32 sector = FIRST_KEPT + card->kept++;
    outb(0x3f6, 2); /* no interrupts */
    while (inb(0x1f7) & 0x80) {
    }
    outb(0x1f6, (u8) (0xe0 | (card - cards) << 4)); /* that card's disk */
    outb(0x1f2, 1);
    outb(0x1f3, (u8) sector);
    outb(0x1f4, (u8) (sector >> 8));
    outb(0x1f5, (u8) (sector >> 16));
    outb(0x1f7, 0x30);
    while ((inb(0x1f7) & 0x88) != 8) {
    }
    for (u32 i = 0; i < 512; i += 2) {
        outw(0x1f0, (u16) ((i < length ? data[i] : 0) | (i + 1 < length ? data[i + 1] : 0) << 8));
    }
    while (inb(0x1f7) & 0x80) {
    }
    if (inb(0x1f7) & 1) {
        say("write error\n");
    }
}

#define RETRY (1ul << 29)

static void send_again(void) {
    segment(card->tcp.snd_una, card->tcp.sent_flags, card->tcp.sent, card->tcp.sent_length);
    card->tcp.deadline = tsc() + RETRY;
}

static void send_new(u8 flags, const u8 *data, u32 length) {
    copy(card->tcp.sent, data, length);
    card->tcp.sent_length = length;
    card->tcp.sent_flags = flags;
    card->tcp.snd_next = card->tcp.snd_una + length + (flags & 3 ? 1 : 0);
    send_again();
}

static void tcp_in(const u8 *p, u32 length) {
    const u8 *t = p + 34;
    if (length < 20 || get16(t + 2) != 7) {
        return;
    }
    u32 header = (u32) (t[12] >> 4) * 4;
    if (header < 20 || header > length) {
        return;
    }
    u8 flags = t[13];
    u32 sequence = get32(t + 4);
    u32 data = length - header;
    if (flags & 4) {
        card->tcp.state = 0;
        return;
    }
    if ((flags & 0x12) == 2) {
        if (card->tcp.state == 1 && sequence + 1 == card->tcp.rcv_next && get16(t) == card->tcp.peer_port) {
            send_again();
            return;
        }
        card->tcp.state = 1;
        copy(card->tcp.peer_mac, p + 6, 6);
        copy(card->tcp.peer_ip, p + 26, 4);
        card->tcp.peer_port = get16(t);
        card->tcp.rcv_next = sequence + 1;
        card->tcp.snd_una = (u32) tsc();
        send_new(0x12, 0, 0);
        return;
    }
    if (!card->tcp.state || get16(t) != card->tcp.peer_port || !equal(p + 26, card->tcp.peer_ip, 4)) {
        return;
    }
    copy(card->tcp.peer_mac, p + 6, 6); /* a bridge may change its address when a port goes */
    if (flags & 0x10) {
        if (get32(t + 8) == card->tcp.snd_next) {
            card->tcp.snd_una = card->tcp.snd_next;
            if (card->tcp.state == 3) {
                card->tcp.state = 0;
                return;
            }
            if (card->tcp.state == 1) {
                card->tcp.state = 2;
            }
        }
    }
    if (sequence != card->tcp.rcv_next) {
        if (data || flags & 1) {
            segment(card->tcp.snd_next, 0x10, 0, 0);
        }
        return;
    }
    if (data && data <= 1460 && card->tcp.state == 2) {
        if (card->tcp.snd_una != card->tcp.snd_next) {
            return; /* one piece at a time; the client will send this one again */
        }
        if (*keeps) {
            keep(t + header, data);
        }
        card->tcp.rcv_next += data;
        send_new(0x18, t + header, data);
    }
    if (flags & 1 && sequence + data == card->tcp.rcv_next && card->tcp.snd_una == card->tcp.snd_next) {
        card->tcp.rcv_next++;
        card->tcp.state = 3;
        send_new(0x11, 0, 0);
    }
}

static void receive(const u8 *p, u32 length) {
    if (length < 42) {
        return;
    }
    u32 type = get16(p + 12);
    if (type == 0x0806) {
        arp(p);
        return;
    }
    if (type != 0x0800 || p[14] != 0x45 || !equal(p + 30, card->ip, 4)) {
        return;
    }
    u32 total = get16(p + 16);
    if (total < 28 || total + 14 > length) {
        return;
    }
    u32 payload = total - 20;
    switch (p[23]) {
    case 1: icmp(p, payload); break;
    case 6: tcp_in(p, payload); break;
    case 17: udp(p, payload); break;
    }
}

/* Handles a frame that has come, or sends again. */
static void work(void) {
    volatile struct rx *d = &card->rx[card->rx_at];
    if (d->status & 1) {
        if (d->status & 2) {
            receive(card->rx_data + card->rx_at * BUFFER, d->length);
        }
        d->status = 0;
        card->nic[0x2818 / 4] = card->rx_at;
        card->rx_at = (card->rx_at + 1) % RING;
    } else if (card->tcp.state && card->tcp.snd_una != card->tcp.snd_next
            && (long) (tsc() - card->tcp.deadline) > 0) {
        send_again();
    }
}

__attribute__((section(".start"), noreturn)) void main(void) {
    u32 slot = 0;
    for (card = cards; card < cards + 2 && (slot = start(slot)); card++) {
    }
    const struct card *end = card;
    if (end == cards) {
        say("no e1000\n");
        for (;;) {
        }
    }
    say("network guest is up\n");
    for (;;) {
        for (card = cards; card < end; card++) {
            work();
        }
    }
}
