package lockstep.qapi;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;

/** The canonical dump: everything implied is written out, in its module and place. */
class SchemaDumpTest {
    @TempDir Path directory;

    @Test
    void everythingImplied() throws Exception {
        SchemaFiles files = new SchemaFiles(directory);
        files.write(
                "water/sub.json",
                """
                { 'enum': 'Kind', 'prefix': 'WATER', 'if': { 'any': [ 'POND', { 'not': 'SEA' } ] },
                  'data': [ 'salt', { 'name': '1st', 'if': 'FIRST', 'features': [ 'odd' ] } ] }
                { 'struct': 'Water', 'data': { 'kind': 'Kind', '*depth': 'size' } }
                """);
        String dump =
                SchemaDump.of(
                        files.load(
                                """
                                { 'pragma': { 'command-returns-exceptions': [ 'names' ] } }
                                ##
                                # = Water
                                ##
                                { 'include': 'water/sub.json' }
                                { 'include': 'water/sub.json' }
                                { 'struct': 'Fish', 'base': 'Water',
                                  'data': { 'kinds': [ 'Kind' ],
                                            'names': { 'type': [ 'str' ], 'if': { 'all': [ 'A', 'B' ] },
                                                       'features': [ { 'name': 'f', 'if': 'C' } ] } } }
                                { 'struct': 'None', 'data': {} }
                                { 'union': 'Animal', 'base': { 'kind': 'Kind' }, 'if': 'ZOO',
                                  'discriminator': 'kind', 'data': { 'salt': 'None' } }
                                { 'alternate': 'Alt',
                                  'data': { 'one': 'Fish', 'more': [ 'Fish' ],
                                            'tag': { 'type': 'QType', 'if': 'D' } } }
                                ##
                                # @feed:
                                #
                                # @what: food
                                #
                                # Features:
                                #
                                # @deprecated: eat less
                                #
                                # Since: 1.0
                                ##
                                { 'command': 'feed', 'data': { '*what': 'str' }, 'coroutine': true,
                                  'returns': [ 'Animal' ], 'features': [ 'deprecated' ] }
                                { 'command': 'names', 'data': 'Animal', 'boxed': true,
                                  'returns': [ 'QType' ], 'gen': false, 'success-response': false }
                                { 'command': 'stop', 'data': {}, 'allow-oob': true,
                                  'allow-preconfig': true }
                                { 'event': 'HUNGRY', 'data': { 'fish': 'Fish' }, 'if': 'E' }
                                { 'event': 'FED' }
                                """));
        assertEquals(
                """
                module ./builtin
                object q_empty
                enum QType
                    member none
                    member qnull
                    member qnum
                    member qstring
                    member qdict
                    member qlist
                    member qbool
                array QTypeList QType
                module t.json
                include water/sub.json
                include water/sub.json
                object Fish
                    base Water
                    member kinds: KindList optional=False
                    member names: strList optional=False
                        if {'all': ['A', 'B']}
                        feature f
                            if C
                object None
                object q_obj_Animal-base
                    member kind: Kind optional=False
                    if ZOO
                object Animal
                    base q_obj_Animal-base
                    tag kind
                    case salt: None
                    case 1st: q_empty
                        if FIRST
                    if ZOO
                array FishList Fish
                alternate Alt
                    tag type
                    case one: Fish
                    case more: FishList
                    case tag: QType
                        if D
                object q_obj_feed-arg
                    member what: str optional=True
                array AnimalList Animal
                    if ZOO
                command feed q_obj_feed-arg -> AnimalList
                    gen=True success_response=True boxed=False oob=False preconfig=False coroutine=True
                    feature deprecated
                command names Animal -> QTypeList
                    gen=False success_response=False boxed=True oob=False preconfig=False
                command stop None -> None
                    gen=True success_response=True boxed=False oob=True preconfig=True
                object q_obj_HUNGRY-arg
                    member fish: Fish optional=False
                    if E
                event HUNGRY q_obj_HUNGRY-arg
                    boxed=False
                    if E
                event FED None
                    boxed=False
                module water/sub.json
                enum Kind
                    prefix WATER
                    member salt
                    member 1st
                        if FIRST
                        feature odd
                    if {'any': ['POND', {'not': 'SEA'}]}
                object Water
                    member kind: Kind optional=False
                    member depth: size optional=True
                array KindList Kind
                    if {'any': ['POND', {'not': 'SEA'}]}
                doc freeform
                    body=
                = Water
                doc symbol=feed
                    body=

                    arg=what
                food
                    feature=deprecated
                eat less
                    section=Since
                1.0
                """,
                dump);
    }
}
