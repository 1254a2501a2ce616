package lockstep.qapi.syntax;

import org.jspecify.annotations.Nullable;

import java.util.Map;

/**
 * One top-level expression that is neither a pragma nor an include.
 *
 * @param members the object's members as written
 * @param info where it starts
 * @param doc its documentation comment, or null
 */
public record Expression(Map<String, Node> members, SourceInfo info, @Nullable DocComment doc)
        implements ParsedSchema.Item {}
