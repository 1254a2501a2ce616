package lockstep.runtime.commandline;

import lockstep.api.AudioFormat;
import lockstep.api.Audiodev;
import lockstep.api.AudiodevGenericOptions;
import lockstep.api.AudiodevPerDirectionOptions;
import lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;

import java.util.Objects;

/** What {@code -audiodev} leaves out, and what it may not say together. */
final class SoundSettings {
    private static final long PERIOD = 10_000;

    private SoundSettings() {}

    static Audiodev complete(Audiodev given) throws QmpException {
        if (!(given instanceof Audiodev.None none)) {
            return given;
        }
        return new Audiodev.None(
                none.id(),
                Objects.requireNonNullElse(none.timerPeriod(), PERIOD),
                new AudiodevGenericOptions(
                        complete(none.data().in()), complete(none.data().out())));
    }

    private static AudiodevPerDirectionOptions complete(@Nullable AudiodevPerDirectionOptions given)
            throws QmpException {
        var d = given == null ? AudiodevPerDirectionOptions.builder().build() : given;
        boolean mixed = Objects.requireNonNullElse(d.mixingEngine(), true);
        boolean fixed = Objects.requireNonNullElse(d.fixedSettings(), mixed);
        if (!fixed && (d.frequency() != null || d.channels() != null || d.format() != null)) {
            throw new QmpException(
                    "You can't use frequency, channels or format with fixed-settings=off");
        }
        if (fixed && !mixed) {
            throw new QmpException("You can't use fixed-settings without mixeng");
        }
        return AudiodevPerDirectionOptions.builder()
                .mixingEngine(mixed)
                .fixedSettings(fixed)
                .frequency(Objects.requireNonNullElse(d.frequency(), 44_100L))
                .channels(Objects.requireNonNullElse(d.channels(), 2L))
                .voices(
                        Objects.requireNonNullElse(
                                d.voices(), mixed ? 1 : (long) Integer.MAX_VALUE))
                .format(Objects.requireNonNullElse(d.format(), AudioFormat.S16))
                .bufferLength(d.bufferLength())
                .build();
    }
}
