const contained = why => console.log('\nCONTAINED ' + why);
const escaped = evidence => console.log('\nESCAPED ' + evidence);
