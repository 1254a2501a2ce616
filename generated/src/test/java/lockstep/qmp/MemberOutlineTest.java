package lockstep.qmp;

import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.api.E1000Options;
import lockstep.api.MonitorOptions;
import lockstep.api.ObjectOptions;
import lockstep.api.QuorumReadPattern;

import org.junit.jupiter.api.Test;

import java.util.List;

final class MemberOutlineTest {
    @Test
    void tellsTypesAndWhatMayBeLeftOut() {
        assertEquals(
                List.of(
                        new MemberOutline("id", "str", true),
                        new MemberOutline("mode", "MonitorMode", true),
                        new MemberOutline("pretty", "bool", true),
                        new MemberOutline("chardev", "str", false)),
                MemberOutline.of(MonitorOptions::read));
    }

    @Test
    void tellsMembersOfTheBaseFirst() {
        List<MemberOutline> members = MemberOutline.of(E1000Options::read);
        assertEquals(new MemberOutline("addr", "any", true), members.getFirst());
        assertEquals(new MemberOutline("init-vet", "bool", true), members.getLast());
    }

    @Test
    void tellsMembersOfOneBranch() {
        List<MemberOutline> members = MemberOutline.of(ObjectOptions::read, "filter-buffer");
        assertEquals(new MemberOutline("qom-type", "ObjectType", false), members.getFirst());
        assertEquals(new MemberOutline("interval", "uint32", false), members.getLast());
        assertEquals(
                List.of("qom-type", "id"),
                MemberOutline.of(ObjectOptions::read, "nosuch").stream()
                        .map(MemberOutline::name)
                        .toList());
    }

    @Test
    void hasNothingToTellOfWhatIsNoStruct() {
        assertEquals(List.of(), MemberOutline.of(QuorumReadPattern::read));
    }
}
