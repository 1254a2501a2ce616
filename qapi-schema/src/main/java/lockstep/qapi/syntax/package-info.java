/**
 * The written form of a schema: source locations, the lexer, expression trees and documentation
 * comments. Nothing here knows what a struct or a command is.
 */
package lockstep.qapi.syntax;
