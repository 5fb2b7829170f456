import io.e2bridge.E2B;
import io.e2bridge.FileContent;
import java.nio.charset.StandardCharsets;

/** Writes a file into a sandbox, works on it there, and reads what came of it. */
public final class FilesInAndOut {
    private FilesInAndOut() {}

    public static void main(String[] arguments) {
        byte[] csv = "date,close\n2024-01-02,100\n2024-01-03,110\n2024-01-04,99\n".getBytes(StandardCharsets.UTF_8);
        try (E2B e2b = E2B.open()) {
            String sandbox = e2b.createE2BSandbox("files", "base").sandboxId();
            e2b.writeE2BFile(sandbox, "/data/ACME.csv", csv);
            e2b.executeE2BProcess(sandbox, "tail -n +2 /data/ACME.csv | sort -t , -k 2 -n | tail -n 1 > highest.txt");

            FileContent highest = e2b.readE2BFile(sandbox, "highest.txt");
            System.out.println(highest.path() + ": " + new String(highest.content(), StandardCharsets.UTF_8).strip());
        }
    }
}
