// Reads {"tables": {name: schema}, "queries": {name: text}} from stdin; prints, for each query, its faults and columns.
const [, , packages] = process.argv;
const place = `${packages}/@kusto/language-service-next/`;
require(`${place}bridge.js`);
require(`${place}Kusto.Language.Bridge.js`);
const { KustoCode, GlobalState, Symbols } = globalThis.Kusto.Language;
const { getCount, getItem } = globalThis.System.Array;

const { tables, queries } = JSON.parse(require("fs").readFileSync(0, "utf8"));
// Overloaded constructors are numbered by the compiler: $ctor7 takes name, schema and description, $ctor1 name and members.
const symbols = Object.entries(tables).map(([name, schema]) => new Symbols.TableSymbol.$ctor7(name, schema, null));
const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.$ctor1("workspace", symbols, false));

const listed = (found, read) => Array.from({ length: getCount(found) }, (_, place) => read(getItem(found, place)));
const answers = {};
for (const [name, text] of Object.entries(queries)) {
  const code = KustoCode.ParseAndAnalyze(text, globals);
  const faults = listed(code.GetDiagnostics(), (fault) => `${fault.Message} (at ${text.slice(fault.Start, fault.Start + 20)})`);
  const columns = code.ResultType?.Columns ? listed(code.ResultType.Columns, (column) => [column.Name, column.Type.Name]) : [];
  answers[name] = { faults, columns: Object.fromEntries(columns) };
}
process.stdout.write(JSON.stringify(answers));
