# Read by the launchers in bin, which have set $self to the launcher's own path, links resolved. Gives them
# $home, the distribution's directory, and the function launch. Starts no process that it can do without.
home=$(cd "${self%/*}/.." && pwd -P) || exit 1
program=${0##*/} # the name it was called by stands in front of its messages

# Whether $1 is a JDK 25 or later, by the file that every JDK has: asking it takes longer than all the rest.
is_jdk() {
    [ -x "$1/bin/java" ] && [ -r "$1/release" ] || return 1
    while IFS= read -r line; do
        case $line in
        JAVA_VERSION=\"*)
            version=${line#*\"}
            version=${version%%[!0-9]*}
            [ "${version:-0}" -ge 25 ]
            return
            ;;
        esac
    done < "$1/release"
    return 1
}

# Sets $java.
find_java() {
    if [ -n "${JAVA_HOME:-}" ] && is_jdk "$JAVA_HOME"; then
        java=$JAVA_HOME/bin/java
        return
    fi
    java=$(command -v java || true)
    if [ -n "$java" ]; then
        java=$(readlink -f "$java")
        is_jdk "${java%/bin/java}" && return
    fi
    for candidate in "$home/jre" /usr/lib/jvm/*25* /usr/lib/jvm/* /opt/*jdk* "${HOME:-/root}"/.jdks/*; do
        if is_jdk "$candidate"; then
            java=$candidate/bin/java
            return
        fi
    done
    echo "$program: a JDK 25 is needed; install one (Debian: apt install openjdk-25-jre-headless) or set JAVA_HOME" >&2
    exit 1
}

# The JVM reads arguments and names files in the locale's character set; names of files are UTF-8 all the same.
case ${LC_ALL:-${LC_CTYPE:-${LANG:-}}} in
*.UTF-8 | *.utf8) ;;
*) export LC_ALL=C.UTF-8 ;;
esac

# Sets $cache to the AOT cache $1 for a distribution that stands here, "" where there is none (yet). The packaged one
# fits where it was recorded only, as lib/$1.aot.home says. Elsewhere the user's cache folder has one of its own, which
# is recorded in the background the first time, by the launcher's function train (of a scratch folder's name), if $trains
# says that it has one. What goes wrong with it costs time and nothing else, so it is not told.
find_cache() {
    cache=$home/lib/$1.aot
    recorded=
    [ -r "$cache.home" ] && IFS= read -r recorded < "$cache.home"
    if [ -f "$cache" ] && { [ -z "$recorded" ] || [ "$recorded" = "$home" ]; }; then
        return
    fi
    cache=
    folder=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
    [ "${trains:-}" = true ] && [ -n "$folder" ] || return 0
    # Named after the whole path, last part first.
    place=$home
    name=$1
    while [ -n "$place" ]; do
        name=$name-${place##*/}
        place=${place%/*}
    done
    own=$folder/lockstep/$name.aot
    if [ "$own" -nt "$home/lib" ] && [ "$own" -nt "${java%/bin/java}/release" ]; then
        cache=$own
    elif mkdir -p "$folder/lockstep" 2> /dev/null && [ -w "$folder/lockstep" ]; then
        record_cache < /dev/null > /dev/null 2>&1 &
    fi
}

# Records the AOT cache $own, one process at a time.
record_cache() {
    find "$own.lock" -mmin +10 -exec rmdir {} +
    mkdir "$own.lock" || exit
    export LOCKSTEP_AOT_CACHE_OUTPUT="$own.new"
    # Where it cannot be made it is tried again, but not at each start.
    train "$own.scratch" && mv "$own.new" "$own" && rmdir "$own.lock"
    rm -f "$own.new" "$own.new.config"
}

# launch CACHE ARGUMENTS...: becomes a JVM with these arguments, started from the AOT cache CACHE if there is one. The
# serial collector has the shortest start and the smallest footprint for heaps as small as ours.
launch() {
    find_java
    if [ -n "${LOCKSTEP_RECORD:-}" ]; then
        # Packaging has a program that trains make its cache in that file.
        own=$LOCKSTEP_RECORD
        unset LOCKSTEP_RECORD
        record_cache
        exit
    fi
    if [ -n "${LOCKSTEP_AOT_CACHE_OUTPUT:-}" ]; then
        # Packaging starts it once this way, to make the cache.
        shift
        set -- -XX:AOTCacheOutput="$LOCKSTEP_AOT_CACHE_OUTPUT" "$@"
    else
        find_cache "$1"
        shift
        if [ -n "$cache" ]; then
            set -- -XX:AOTCache="$cache" -Xlog:aot=off "$@"
        fi
    fi
    exec "$java" -XX:+UseSerialGC -XX:-UsePerfData -Dlockstep.argv0="$program" -Dlockstep.home="$home" "$@"
}
