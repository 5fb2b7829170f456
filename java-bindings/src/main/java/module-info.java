/**
 * E2B sandboxes for Java: isolated Linux sandboxes on this machine, on the E2B cloud or on a cluster, behind the
 * functions of the E2B tools.
 *
 * <p>The module calls native code: start the JVM with {@code --enable-native-access=io.e2bridge} (on the class path:
 * {@code --enable-native-access=ALL-UNNAMED}).
 */
module io.e2bridge {
    requires transitive com.fasterxml.jackson.databind;

    exports io.e2bridge;
}
