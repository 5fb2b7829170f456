package io.e2bridge;

import java.nio.file.Path;
import java.util.Arrays;

/** A program that replaces one template for ever, to be killed in the middle of it. */
public final class ExportProbe {
    private ExportProbe() {}

    /**
     * Exports a sandbox as {@code replaced} again and again; its two files hold the same letter, another one each time.
     *
     * @param arguments the data directory
     */
    public static void main(String[] arguments) {
        E2B e2b = E2B.open(E2BConfig.builder().dataDirectory(Path.of(arguments[0])).build());
        String sandbox = e2b.createE2BSandbox("replaces", "base", 600, 64, 1).sandboxId();
        for (int i = 0; ; i++) {
            byte[] content = new byte[3_000_000];
            Arrays.fill(content, (byte) ('a' + i % 26));
            e2b.writeE2BFile(sandbox, "/opt/first", content);
            e2b.writeE2BFile(sandbox, "/opt/second", new byte[] {content[0]});
            e2b.exportE2BTemplate(sandbox, "replaced");
            System.out.println(i);
            System.out.flush();
        }
    }
}
